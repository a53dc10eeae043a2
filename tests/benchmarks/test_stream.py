import asyncio
import json

import numpy as np
import pytest
from fer_benchmarks.stream import StreamClient, StreamResult
from fer_service.contract.errors import StartError
from websockets.asyncio.server import ServerConnection, serve


class FakeStreams:
    """Answers every second frame; odd frames count as replaced."""

    def __init__(self, answer: bool = True) -> None:
        self.answer = answer
        self.keys: set[str | None] = set()

    async def __call__(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        assert connection.request.path == "/stream"
        self.keys.add(connection.request.headers.get("X-API-Key"))
        number = 0
        async for frame in connection:
            assert isinstance(frame, bytes)
            assert frame.startswith(b"\xff\xd8"), "a JPEG"
            number += 1
            if self.answer and number % 2 == 0:
                await connection.send(json.dumps({"frame": number, "faces": [{}] if number % 4 else []}))


def send_frames(streams: FakeStreams) -> StreamResult:
    async def scenario() -> StreamResult:
        async with serve(streams, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            return await StreamClient(f"http://127.0.0.1:{port}", "secret").send_frames(40, 0.5)

    return asyncio.run(scenario())


def test_frames_without_a_result_count_as_dropped() -> None:
    streams = FakeStreams()
    result = send_frames(streams)
    sent, answered = round(result.offered * 0.5), round(result.answered * 0.5)
    assert answered == sent // 2
    assert result.dropped == sent - answered
    assert result.faces == np.ceil(answered / 2) / answered
    assert 0 < result.p50 <= result.p95
    assert streams.keys == {"secret"}


def test_a_server_without_results_is_an_error() -> None:
    with pytest.raises(StartError, match="sent 0 results"):
        send_frames(FakeStreams(answer=False))
