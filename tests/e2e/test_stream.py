import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.e2e.conftest import Server, StartServer

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
        stream.send(bytes(3 * 2**20))
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


def test_told_to_end_it_tells_its_streams_to_come_again(start_server: StartServer, astronaut_jpeg: bytes) -> None:
    server = start_server()
    with streaming(server) as idle, streaming(server) as busy:
        busy.send(astronaut_jpeg)
        assert received(busy)["faces"]
        busy.send(astronaut_jpeg)
        assert server.terminate() == 0
        assert closing_code(idle) == closing_code(busy) == 1012
    assert "Traceback" not in server.log


def closing_code(stream: ClientConnection) -> int | None:
    try:
        while True:  # results that were on their way
            stream.recv(SECONDS)
    except ConnectionClosed as closed:
        return closed.rcvd and closed.rcvd.code
