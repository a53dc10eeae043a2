import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.e2e.server import Server, StartServer

SECONDS = 30


def streaming(server: Server, **options: Any) -> ClientConnection:
    return connect(server.url.replace("http", "ws") + "/stream", compression=None, max_size=None, **options)


def received(stream: ClientConnection) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(stream.recv(SECONDS))
    return result


def test_the_astronaut_smiles_frame_after_frame(server: Server, astronaut_jpeg: bytes) -> None:
    with streaming(server) as stream:
        for number in (1, 2, 3):
            stream.send(astronaut_jpeg)
            result = received(stream)
            assert result["frame"] == number
            (face,) = result["faces"]
            assert (face["id"], face["emotion"]) == (1, "happy")


def test_a_flood_is_answered_with_its_newest_frame_and_no_queue(server: Server, astronaut_jpeg: bytes) -> None:
    count = 200
    with streaming(server) as stream:
        for _ in range(count):
            stream.send(astronaut_jpeg)
        answered = [received(stream)["frame"]]
        while answered[-1] < count:
            answered.append(received(stream)["frame"])
    assert answered == sorted(set(answered))
    assert len(answered) < count / 2


def test_a_frame_far_too_large_ends_the_stream_and_one_a_little_too_large_does_not(
    start_server: StartServer,
) -> None:
    server = start_server(FER_MAX_IMAGE_BYTES="100000")
    with streaming(server) as stream:
        stream.send(bytes(100_001))
        assert received(stream)["error"]["code"] == "image_too_large"
        # A frame's head alone (RFC 6455, 5.2): the server refuses what it announces. Bytes on their way behind it
        # would reset the connection, now and then before its close is read.
        stream.socket.sendall(struct.pack("!BBQ4x", 0x82, 0xFF, 3 * 2**20))
        with pytest.raises(ConnectionClosed) as closed:
            stream.recv(SECONDS)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_a_page_of_another_origin_is_refused(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused, streaming(server, origin="https://elsewhere.example"):
        pass
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body or b"")["code"] == "forbidden"
    with streaming(server, origin=server.url):
        pass


def test_sigterm_closes_streams_with_the_code_for_a_restart(
    start_server: StartServer, astronaut_jpeg: bytes
) -> None:
    server = start_server()
    with streaming(server) as idle, streaming(server) as busy:
        busy.send(astronaut_jpeg)
        assert received(busy)["faces"]
        busy.send(astronaut_jpeg)
        assert server.terminate() == 0
        assert closing_code(idle) == closing_code(busy) == 1012
    assert "Traceback" not in server.log


def test_a_key_opens_a_stream_and_is_in_no_log_nor_are_addresses_or_images(
    start_server: StartServer, astronaut_jpeg: bytes, tmp_path: Path
) -> None:
    key = "key-of-a-page-0123456789"
    file = tmp_path / "keys.txt"
    file.write_text(key)
    server = start_server(FER_API_KEYS_FILE=str(file), FER_LOG_LEVEL="debug", FER_ACCESS_LOG="true")
    token = base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
    with streaming(server, subprotocols=["fer.v1", f"fer.key.{token}"]) as page:
        assert page.subprotocol == "fer.v1"
        assert page.response
        assert token not in str(page.response.headers)
        page.send(astronaut_jpeg)
        assert received(page)["faces"]
    with streaming(server, additional_headers={"X-API-Key": key}) as program:
        assert program.subprotocol is None
    with pytest.raises(InvalidStatus) as refused, streaming(server, subprotocols=["fer.v1", f"fer.key.{token}A"]):
        pass
    assert refused.value.response.status_code == 401
    assert server.terminate() == 0
    assert "GET /stream 101 " in server.log
    assert "1 images, 1 faces" in server.log
    assert "GET /stream 401 " in server.log
    own_address = server.url.removeprefix("http://")
    for secret in (key, token, "ff d8", "x-api-key", "127.0.0.1"):
        assert secret not in server.log.replace(own_address, ""), secret


def closing_code(stream: ClientConnection) -> int | None:
    try:
        while True:  # results that were on their way
            stream.recv(SECONDS)
    except ConnectionClosed as closed:
        return closed.rcvd and closed.rcvd.code
