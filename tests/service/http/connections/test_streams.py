import json
import time

import pytest
from fer_service.http.connections.limits import ConnectionLimits

from tests.service.conftest import plain
from tests.service.http.connections.conftest import (
    BINARY,
    CLOSE,
    CONTINUATION,
    HANDSHAKE,
    PING,
    TEXT,
    Start,
    closing_code,
    code_of,
    frame,
    read_all,
    status_of,
    wait_until,
)

IMAGE = plain("lime", 80, 60)


def fragments(data: bytes, count: int) -> bytes:
    """A message in so many fragments; some may be empty."""
    size = -(-len(data) // count)
    parts = [data[at * size : (at + 1) * size] for at in range(count)]
    return b"".join(
        frame(CONTINUATION if number else BINARY, part, last=number == count - 1)
        for number, part in enumerate(parts)
    )


@pytest.mark.parametrize("count", [1, 2, 50])
def test_sixty_frames_in_fragments_are_fair(start: Start, count: int) -> None:
    stream = start().stream()
    stream.sendall(fragments(IMAGE, count) * 60)
    received = b""
    while b'"frame":60,' not in received:
        received += stream.recv(65536)
    assert b'"emotion":"happy"' in received
    stream.sendall(frame(CLOSE))
    assert read_all(stream).endswith(b"\x88\x00")


def test_many_images_at_once_are_fair(start: Start) -> None:
    stream = start().stream()
    stream.sendall(frame(BINARY, IMAGE) * 500)
    last = b""
    while b'"frame":500,' not in last:
        received = stream.recv(65536)
        assert received, "the stream was closed"
        last = last[-100:] + received


@pytest.mark.parametrize(
    "flood",
    [
        frame(BINARY, b"a", last=False) + frame(CONTINUATION, b"a", last=False) * 20_000,
        frame(BINARY, b"", last=False) + frame(CONTINUATION, b"", last=False) * 20_000,
        frame(PING) * 20_000,
        frame(10, b"pong") * 20_000,
        frame(TEXT, b"a") * 20_000,
        frame(BINARY, b"a") * 20_000,
        frame(BINARY) * 20_000,
        (frame(BINARY, b"a", last=False) + frame(CONTINUATION, b"a")) * 10_000,
    ],
)
def test_a_flood_of_frames_is_closed_and_others_are_served(start: Start, flood: bytes) -> None:
    service = start()
    stream = service.stream()
    stream.sendall(flood)
    assert service.alive()
    received = read_all(stream)
    assert b"\x88" in received
    assert b"\x03\xf0" in received[received.rindex(b"\x88") :]  # 1008


def test_a_message_of_too_many_fragments_is_closed(start: Start) -> None:
    limits = ConnectionLimits(fragments_per_message=100, tick=0.02)
    stream = start(limits).stream()
    stream.sendall(frame(BINARY, b"a", last=False) + frame(CONTINUATION, b"a", last=False) * 100)
    assert closing_code(stream) == 1008


@pytest.mark.parametrize("beginning", [frame(BINARY, b"a", last=False), frame(BINARY, bytes(1000))[:100], b"\x82"])
@pytest.mark.parametrize("limits", [{"upload_grace": 0.2}, {"message_seconds": 0.2}])
def test_a_message_that_does_not_end_is_closed(start: Start, beginning: bytes, limits: dict[str, float]) -> None:
    service = start(ConnectionLimits(tick=0.02, **limits), request_timeout=limits.get("message_seconds", 30))  # type: ignore[arg-type]
    stream = service.stream()
    stream.sendall(beginning)
    assert closing_code(stream) == 1008


def test_an_idle_stream_stays_open(start: Start) -> None:
    stream = start(ConnectionLimits(upload_grace=0.1, head_seconds=0.1, tick=0.02)).stream()
    time.sleep(0.4)
    stream.sendall(frame(BINARY, IMAGE))
    received = stream.recv(65536)
    assert json.loads(received[received.index(b"{") :])["frame"] == 1


def test_unfinished_messages_of_all_streams_are_bounded_together(start: Start) -> None:
    service = start(max_image_bytes=1_000_000, max_in_flight=4, max_batch_images=1)  # 2 MiB and a bit
    first, second = service.stream(), service.stream()
    half = frame(BINARY, bytes(1_900_000))[:1_500_000]
    first.sendall(half)
    ledger = service.server.config.ledger
    wait_until(lambda: ledger.held >= len(half) - 100)
    second.sendall(half)
    assert closing_code(second) == 1013
    assert ledger.held < len(half) + 100
    first.sendall(bytes(10))
    assert service.alive()
    first.close()
    wait_until(lambda: ledger.held == 0)
    third = service.stream()
    third.sendall(frame(BINARY, IMAGE))
    assert b'"emotion":"happy"' in third.recv(65536)


def test_text_that_is_not_utf_8_is_closed_without_a_traceback(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    stream = start().stream()
    stream.sendall(frame(TEXT, b"\xff\xfe") * 2)
    assert closing_code(stream) == 1007
    assert not [record for record in caplog.records if record.exc_info]


def test_a_stream_that_does_not_read_is_given_up(start: Start) -> None:
    service = start(ConnectionLimits(answer_grace=0.3, small_frames_per_second=10**6, tick=0.02), max_streams=1)
    stream = service.stream(receive_buffer=2304)
    stream.settimeout(0.2)
    pings = frame(PING, bytes(125)) * 100_000
    with pytest.raises(OSError, match=r"timed out|reset|pipe"):
        stream.sendall(pings)
    wait_until(lambda: not service.server.server_state.tasks)
    service.stream()


def test_frames_sent_with_the_handshake_are_not_lost(start: Start) -> None:
    connection = start().connect()
    handshake = f"GET /stream HTTP/1.1\r\nHost: x\r\n{HANDSHAKE}\r\n".encode()
    connection.sendall(handshake + frame(BINARY, IMAGE) + frame(CLOSE))
    received = read_all(connection)
    assert received.startswith(b"HTTP/1.1 101 ")
    assert b"\x88\x00" in received


def test_an_address_opens_streams_at_a_bounded_rate(start: Start) -> None:
    service = start(ConnectionLimits(handshakes_per_second=0, handshakes_at_once=3, tick=0.02))
    for _ in range(3):
        service.stream()
    connection = service.connect()
    connection.sendall(f"GET /stream HTTP/1.1\r\nHost: x\r\n{HANDSHAKE}\r\n".encode())
    answer = read_all(connection)
    assert (status_of(answer), code_of(answer)) == (429, "overloaded")


def test_behind_a_trusted_proxy_each_client_opens_streams_at_its_own_rate(start: Start) -> None:
    limits = ConnectionLimits(handshakes_per_second=0, handshakes_at_once=1, tick=0.02)
    service = start(limits, trusted_proxies="127.0.0.1")
    statuses = []
    for client in ("203.0.113.1", "203.0.113.2", "203.0.113.1"):
        connection = service.connect()
        forwarded = f"X-Forwarded-For: {client}\r\n{HANDSHAKE}\r\n"
        connection.sendall(f"GET /stream HTTP/1.1\r\nHost: x\r\n{forwarded}".encode() + frame(CLOSE))
        statuses.append(status_of(read_all(connection)))
    assert statuses == [101, 101, 429]
