import socket
import time

import numpy as np
import pytest
from fer_service.http.connections.limits import ConnectionLimits

from tests.service.conftest import encoded, plain
from tests.service.http.connections.conftest import SECONDS, Start, code_of, read_all, status_of, wait_until

POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
REFUSED = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
IMAGE = plain("lime", 80, 60)


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def chunks_of(data: bytes, size: int) -> bytes:
    return chunked(*(data[at : at + size] for at in range(0, len(data), size)))


@pytest.mark.parametrize("size", [1, 1000])
def test_an_image_in_chunks_is_served(start: Start, size: int) -> None:
    head = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert status_of(start().raw(head + chunks_of(IMAGE, size))) == 200


@pytest.mark.parametrize("size", [1000, 100_000])
@pytest.mark.parametrize("chunks", [True, False])
@pytest.mark.parametrize("protocol", [b"h2c", b"TLS/1.0"])
def test_a_body_is_read_although_the_client_asks_for_another_protocol(
    start: Start, protocol: bytes, chunks: bool, size: int
) -> None:
    image = IMAGE.ljust(size, b"\0")
    head = POST + b"Connection: keep-alive, Upgrade\r\nUpgrade: " + protocol + b"\r\n"
    body = chunks_of(image, 5000) if chunks else image
    head += b"Transfer-Encoding: chunked\r\n\r\n" if chunks else b"Content-Length: %d\r\n\r\n" % size
    last = POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(IMAGE) + IMAGE
    answers = start().raw(head + body + last).split(b"HTTP/1.1 ")[1:]
    assert [int(answer[:3]) for answer in answers] == [200, 200]


@pytest.mark.parametrize("connection", [b"Connection: close\r\n", b""])
@pytest.mark.parametrize("size", [2_000_000, 20_000_000])
def test_a_client_that_is_refused_while_it_uploads_reads_the_answer(
    start: Start, connection: bytes, size: int
) -> None:
    head = REFUSED + connection + b"Content-Length: %d\r\n\r\n" % size
    answer = start().raw(head, bytes(size))
    assert (status_of(answer), code_of(answer)) == (415, "unsupported_media_type")
    assert b"connection: close\r\n" in answer


def test_a_client_of_http_1_0_reads_the_refusal(start: Start) -> None:
    head = b"POST /predict HTTP/1.0\r\nContent-Type: text/plain\r\nContent-Length: 5000000\r\n\r\n"
    assert status_of(start().raw(head, bytes(5_000_000))) == 415


def test_a_client_that_uploads_chunks_reads_the_refusal(start: Start) -> None:
    head = REFUSED + b"Transfer-Encoding: chunked\r\n\r\n"
    assert status_of(start().raw(head, chunks_of(bytes(5_000_000), 50_000))) == 415


def test_a_client_that_waits_for_100_is_refused_without_an_upload(start: Start) -> None:
    head = REFUSED + b"Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n"
    answer = start().raw(head)
    assert status_of(answer) == 415
    assert b"connection: close\r\n" in answer


def test_a_small_refused_body_keeps_the_connection(start: Start) -> None:
    connection = start().connect()
    connection.sendall(REFUSED + b"Content-Length: 100000\r\n\r\n" + bytes(50_000))
    refusal = connection.recv(65536)
    assert status_of(refusal) == 415
    assert b"connection: close" not in refusal
    connection.sendall(bytes(50_000) + b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"HTTP/1.1 200 OK\r\n" in read_all(connection)


def test_a_large_body_that_was_read_keeps_the_connection(start: Start) -> None:
    connection = start().connect()
    for _ in range(2):
        connection.sendall(POST + b"Content-Length: 3000000\r\n\r\n" + bytes(3_000_000))
        answer = connection.recv(65536)
        assert status_of(answer) == 422
        assert b"connection: close" not in answer
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)


def test_a_client_that_uploads_without_end_after_its_refusal_is_cut_off(start: Start) -> None:
    service = start(ConnectionLimits(linger_bytes=1_000_000, tick=0.02), max_image_bytes=1000, max_batch_images=1)
    connection = service.connect()
    connection.sendall(REFUSED + b"Transfer-Encoding: chunked\r\n\r\n")
    chunks = (b"ffff\r\n" + bytes(0xFFFF) + b"\r\n") * 1000
    with pytest.raises(OSError, match=r"reset|pipe"):
        connection.sendall(chunks)


@pytest.mark.parametrize("limits", [{"linger_silence": 0.1}, {"linger_seconds": 0.1}])
def test_a_refused_client_that_does_not_close_is_closed(start: Start, limits: dict[str, float]) -> None:
    service = start(ConnectionLimits(tick=0.02, **limits))  # type: ignore[arg-type]
    connection = service.connect()
    connection.sendall(REFUSED + b"Content-Length: 5000000\r\n\r\n")
    assert status_of(connection.recv(65536)) == 415
    wait_until(lambda: service.open_connections() == 0)


def test_a_body_that_does_not_arrive_gets_408(start: Start) -> None:
    service = start(ConnectionLimits(upload_grace=0.2, tick=0.02))
    answer = service.raw(POST + b"Content-Length: 1000\r\n\r\nabc")
    assert (status_of(answer), code_of(answer)) == (408, "request_too_slow")
    metrics = service.raw(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b'fer_requests_total{code="408",route="/predict"} 1.0' in metrics
    assert b'code="499"' not in metrics


@pytest.mark.parametrize("piece", [b"1\r\na\r\n", b"a"])
def test_a_body_that_dribbles_gets_408(start: Start, piece: bytes) -> None:
    connection = start(ConnectionLimits(upload_grace=0.2, tick=0.02)).connect()
    coding = b"Transfer-Encoding: chunked" if len(piece) > 1 else b"Content-Length: 10000"
    connection.sendall(POST + coding + b"\r\n\r\n")
    connection.settimeout(0.02)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        connection.sendall(piece)
        try:
            assert status_of(connection.recv(65536)) == 408
        except TimeoutError:
            continue
        return
    pytest.fail("no answer")


def test_a_body_that_is_fast_enough_is_served(start: Start) -> None:
    service = start(ConnectionLimits(upload_grace=0.2, tick=0.02, bytes_per_second=500))
    connection = service.connect()
    body = IMAGE + bytes(600 - len(IMAGE) % 600)
    connection.sendall(POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
    for at in range(0, len(body), 60):
        connection.sendall(body[at : at + 60])
        time.sleep(0.05)
    assert status_of(read_all(connection)) == 200


@pytest.mark.parametrize(
    "body",
    [b"1\r\na\r\n" * 200_000, b"1;" + b"x" * 1_000_000, b"0\r\n" + b"X-Trailer: 1\r\n" * 1000, b"zz\r\n"],
)
def test_a_body_of_framing_is_refused(start: Start, body: bytes) -> None:
    service = start()
    answer = service.raw(POST + b"Transfer-Encoding: chunked\r\n\r\n", body)
    assert status_of(answer) in {400, 431}
    assert service.alive()


def test_trailers_are_no_headers(start: Start) -> None:
    head = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = start().raw(head + chunks_of(IMAGE, 100)[:-2] + b"X-Request-ID: trailer\r\n\r\n")
    assert status_of(answer) == 200
    assert b"trailer" not in answer


def test_an_answer_that_nobody_reads_is_given_up(start: Start) -> None:
    service = start(ConnectionLimits(answer_grace=0.3, tick=0.02))
    drawn_answer(service.connect(receive_buffer=2304))
    wait_until(lambda: service.open_connections() == 0)


def test_a_client_that_reads_a_byte_now_and_then_is_given_up(start: Start) -> None:
    service = start(ConnectionLimits(answer_grace=0.3, tick=0.02))
    connection = drawn_answer(service.connect(receive_buffer=2304))
    deadline = time.monotonic() + SECONDS
    while service.open_connections() and time.monotonic() < deadline:
        connection.recv(1)
        time.sleep(0.02)
    assert service.open_connections() == 0


def test_a_client_that_reads_slowly_but_steadily_gets_the_whole_answer(start: Start) -> None:
    service = start(ConnectionLimits(answer_grace=0.5, tick=0.02))
    connection = drawn_answer(service.connect(receive_buffer=65536))
    received = b""
    while piece := connection.recv(200_000):
        received += piece
        time.sleep(0.01)
    assert received.endswith(b"IEND\xaeB`\x82")


def drawn_answer(connection: socket.socket) -> socket.socket:
    """A client whose answer is a PNG of some megabytes."""
    image = encoded(np.random.default_rng(0).integers(0, 255, (1400, 1400, 3), np.uint8), "JPEG", quality=40)
    head = POST + b"Connection: close\r\nAccept: image/png\r\n"
    connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(image) + image)
    assert connection.recv(1) == b"H"
    return connection
