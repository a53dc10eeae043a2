"""Load for a server, from a process of its own: `python -m fer_benchmarks.load` reads a plan, prints a result.

Written on asyncio's protocols: a request is bytes that were made once, and of an answer only the status and the
length are read, so that the client takes as little as it can of the cores that it shares with the server.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Plan:
    """What is sent.

    Attributes:
        host: Of the server.
        port: Of the server.
        path: With its query.
        content_type: Of the body.
        seconds: To measure for.
        concurrency: Connections; in a closed loop each sends its next request when its last is answered.
        rate: Requests a second of an open loop, which are due whether others are answered or not; 0 is closed.
    """

    host: str
    port: int
    path: str
    content_type: str
    seconds: float
    concurrency: int
    rate: float = 0.0


@dataclass
class Result:
    """What came back.

    Attributes:
        seconds: That were measured.
        statuses: Answers by status; 0 is a connection that broke.
        milliseconds: Of the answers with status 200, from when they were due: [p50, p95, p99].
        refused_milliseconds: Of the answers with status 429: [p50, p95, p99].
        client_cpu: Seconds of CPU that the load itself took.
    """

    seconds: float
    statuses: dict[int, int]
    milliseconds: list[float] = field(default_factory=list)
    refused_milliseconds: list[float] = field(default_factory=list)
    client_cpu: float = 0.0

    @property
    def rate(self) -> float:
        """Images answered a second."""
        return self.statuses.get(200, 0) / self.seconds


class Connection(asyncio.Protocol):
    """One keep-alive HTTP/1.1 connection with one request at a time."""

    def __init__(self) -> None:
        self._transport: Any = None  # uvloop's transports are none of asyncio's classes
        self._buffer = bytearray()
        self._missing = -1
        self._answer: asyncio.Future[int] | None = None
        self._status = 0

    async def ask(self, request: bytes) -> int:
        """Send a request; its answer's status, or 0 where the connection broke."""
        if self._transport is None or self._transport.is_closing():
            return 0
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of asyncio."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Of asyncio."""
        if self._missing < 0:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            self._status = int(head[9:12])
            length = head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]
            self._missing = int(length) - (len(self._buffer) - end - 4)
        else:
            self._missing -= len(data)
        if self._missing <= 0:
            self._buffer.clear()
            self._missing = -1
            self._done(self._status)

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio."""
        self._done(0)

    def _done(self, status: int) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)


async def drive(plan: Plan, body: bytes) -> Result:
    """Send requests as planned, and measure."""
    request = (
        f"POST {plan.path} HTTP/1.1\r\nHost: {plan.host}:{plan.port}\r\nContent-Type: {plan.content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    times: list[tuple[int, float]] = []
    cpu, began = time.process_time(), time.perf_counter()
    await (_open_loop if plan.rate else _closed_loop)(plan, request, times)
    seconds = time.perf_counter() - began
    answered = [milliseconds for status, milliseconds in times if status == 200]
    refused = [milliseconds for status, milliseconds in times if status == 429]
    return Result(
        seconds,
        dict(Counter(status for status, _ in times)),
        _quantiles(answered),
        _quantiles(refused),
        time.process_time() - cpu,
    )


async def _closed_loop(plan: Plan, request: bytes, times: list[tuple[int, float]]) -> None:
    end = time.perf_counter() + plan.seconds

    async def client() -> None:
        connection = await _connect(plan)
        while (began := time.perf_counter()) < end:
            status = await connection.ask(request)
            times.append((status, (time.perf_counter() - began) * 1e3))
            if not status:
                connection = await _connect(plan)
        connection.close()

    await asyncio.gather(*[client() for _ in range(plan.concurrency)])


async def _open_loop(plan: Plan, request: bytes, times: list[tuple[int, float]]) -> None:
    """Every request has its time; one that finds no free connection waits, and its waiting counts."""
    free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
    for connection in [await _connect(plan) for _ in range(plan.concurrency)]:
        free.put_nowait(connection)
    began = time.perf_counter()

    async def one(due: float) -> None:
        connection = await free.get()
        status = await connection.ask(request)
        times.append((status, (time.perf_counter() - due) * 1e3))
        free.put_nowait(connection if status else await _connect(plan))

    async with asyncio.TaskGroup() as group:
        for number in range(int(plan.rate * plan.seconds)):
            due = began + number / plan.rate
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            group.create_task(one(due))
    while not free.empty():
        free.get_nowait().close()


async def _connect(plan: Plan) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, plan.host, plan.port)
    return connection


def _quantiles(milliseconds: list[float]) -> list[float]:
    return np.percentile(milliseconds, [50, 95, 99]).round(3).tolist() if milliseconds else []


def main() -> None:
    """Read a plan as a line of JSON and then the body; print the result as JSON."""
    fields: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    body = sys.stdin.buffer.read()
    print(json.dumps(asdict(_runner()(drive(Plan(**fields), body)))))


def _runner() -> Callable[[Coroutine[Any, Any, Result]], Result]:
    try:
        import uvloop
    except ImportError:  # not on every system
        return asyncio.run
    return uvloop.run


if __name__ == "__main__":
    main()
