import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict

import pytest
from fer_benchmarks.load import Plan, Result, drive

Answer = Callable[[bytes, bytes], Awaitable[bytes]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 4\r\n\r\nbusy"


class Peer:
    """A server of few lines: what it was sent, and an answer by rule; None breaks the connection."""

    def __init__(self, answer: Callable[[int], bytes | None], seconds: float = 0.0, slices: int = 1) -> None:
        self.answer, self.seconds, self.slices = answer, seconds, slices
        self.requests: list[tuple[bytes, bytes]] = []
        self.connections = self.open = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                self.requests.append((head, await reader.readexactly(size)))
                await asyncio.sleep(self.seconds)
                answer = self.answer(len(self.requests))
                if answer is None:
                    break
                step = -(-len(answer) // self.slices)
                for start in range(0, len(answer), step):
                    writer.write(answer[start : start + step])
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()
        await writer.wait_closed()
        self.open -= 1

    async def gone(self) -> None:
        """Until all connections have ended."""
        while self.open:
            await asyncio.sleep(0.002)


def driven(peer: Peer, **changes: float) -> Result:
    async def scenario() -> Result:
        server = await asyncio.start_server(peer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        plan = Plan(
            "127.0.0.1", port, "/predict?x=1", "image/jpeg", **({"seconds": 0.2, "concurrency": 2} | changes)
        )  # type: ignore[arg-type]
        async with server:
            result = await drive(plan, b"image")
            await peer.gone()
            return result

    return asyncio.run(scenario())


def test_requests_are_what_the_plan_says() -> None:
    peer = Peer(lambda _: OK)
    driven(peer)
    head, body = peer.requests[0]
    assert head.startswith(b"POST /predict?x=1 HTTP/1.1\r\n")
    assert b"Content-Type: image/jpeg\r\n" in head
    assert body == b"image"


def test_a_closed_loop_keeps_so_many_connections_busy() -> None:
    peer = Peer(lambda _: OK, seconds=0.01)
    result = driven(peer, concurrency=3, seconds=0.3)
    assert peer.connections == 3
    assert result.statuses[200] == len(peer.requests)
    assert 30 < result.statuses[200] <= 93
    assert result.rate == pytest.approx(result.statuses[200] / result.seconds)
    assert result.milliseconds[0] >= 10


@pytest.mark.parametrize("slices", [2, 7, 1000])
def test_answers_may_come_in_pieces(slices: int) -> None:
    peer = Peer(lambda _: OK, slices=slices)
    assert driven(peer).statuses.keys() == {200}


def test_refusals_are_counted_and_timed_apart() -> None:
    peer = Peer(lambda number: BUSY if number % 2 else OK)
    result = driven(peer, concurrency=1)
    assert abs(result.statuses[200] - result.statuses[429]) <= 2
    assert len(result.refused_milliseconds) == len(result.milliseconds) == 3


def test_a_broken_connection_is_counted_and_another_one_made() -> None:
    peer = Peer(lambda number: None if number == 3 else OK)
    result = driven(peer, concurrency=1)
    assert result.statuses[0] == 1
    assert result.statuses[200] > 3
    assert peer.connections == 2


def test_an_open_loop_sends_when_it_is_time() -> None:
    peer = Peer(lambda _: OK)
    result = driven(peer, rate=100, seconds=0.3, concurrency=8)
    assert result.statuses == {200: 30}
    assert 0.28 < result.seconds < 0.6


def test_an_open_loop_counts_the_time_that_requests_wait_for_their_turn() -> None:
    slow = Peer(lambda _: OK, seconds=0.05)
    result = driven(slow, rate=100, seconds=0.2, concurrency=1)
    assert result.statuses == {200: 20}
    # Twenty requests of 50 ms on one connection: the last is due after 0.19 s and answered after 1 s.
    assert result.milliseconds[2] > 600


def test_a_process_of_its_own_reads_plan_and_body_and_prints_the_result() -> None:
    async def scenario() -> bytes:
        peer = Peer(lambda _: OK)
        server = await asyncio.start_server(peer, "127.0.0.1", 0)
        plan = Plan("127.0.0.1", server.sockets[0].getsockname()[1], "/predict", "image/jpeg", 0.2, 2)
        async with server:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "fer_benchmarks.load",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            printed, _ = await process.communicate(json.dumps(asdict(plan)).encode() + b"\nbody\nof lines")
        assert peer.requests[0][1] == b"body\nof lines"
        return printed

    result = json.loads(asyncio.run(scenario()))
    assert result["statuses"].keys() == {"200"}
    assert result["client_cpu"] > 0


def test_nothing_answered_is_no_time_at_all() -> None:
    began = time.monotonic()
    result = driven(Peer(lambda _: BUSY), seconds=0.1)
    assert result.rate == 0
    assert result.milliseconds == []
    assert time.monotonic() - began < 5
