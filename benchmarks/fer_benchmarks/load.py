"""Load generator in its own process: `python -m fer_benchmarks.load` reads a plan and prints a result.

It uses asyncio's protocols directly: the request's bytes are built once, and only status and length of a response
are read. It imports no large package. So it takes little of the cores that it shares with the server.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from fer_service.contract.errors import StartError

_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Plan:
    """The requests to send.

    Attributes:
        host: Server's host.
        port: Server's port.
        path: Path and query.
        content_type: Content type of the body.
        seconds: Duration.
        concurrency: Connections. In a closed loop each sends its next request after the response to its last.
        rate: Requests per second of an open loop, which are due even if earlier ones are unanswered. 0 is a closed
            loop.
        api_key: Value of the header X-API-Key; empty sends no such header.
    """

    host: str
    port: int
    path: str
    content_type: str
    seconds: float
    concurrency: int
    rate: float = 0.0
    api_key: str = ""


@dataclass
class LoadResult:
    """The responses.

    Attributes:
        seconds: Measured duration.
        statuses: Number of responses by status. Status 0 is a broken connection.
        milliseconds: Latency of responses with status 200, counted from when they were due: [p50, p95, p99].
        refused_milliseconds: Latency of responses with status 429: [p50, p95, p99].
        client_cpu: CPU seconds of the load generator.
    """

    seconds: float
    statuses: dict[int, int]
    milliseconds: list[float] = field(default_factory=list)
    refused_milliseconds: list[float] = field(default_factory=list)
    client_cpu: float = 0.0

    @property
    def answered(self) -> int:
        """Number of responses with status 200."""
        return self.statuses.get(200, 0)

    @property
    def rate(self) -> float:
        """Responses with status 200 per second."""
        return self.answered / self.seconds


class Load(Protocol):
    """Sends requests to a server."""

    def run(
        self,
        body: bytes,
        *,
        path: str = "/predict",
        content_type: str = "image/jpeg",
        seconds: float,
        concurrency: int,
        rate: float = 0.0,
    ) -> LoadResult:
        """Send requests with this body (see `Plan`)."""
        ...


@dataclass(frozen=True)
class LoadGenerator:
    """Sends requests from another process.

    Attributes:
        url: Base address of the server.
        api_key: Value of the header X-API-Key; empty sends no such header.
    """

    url: str
    api_key: str = ""

    def run(
        self,
        body: bytes,
        *,
        path: str = "/predict",
        content_type: str = "image/jpeg",
        seconds: float,
        concurrency: int,
        rate: float = 0.0,
    ) -> LoadResult:
        """Send requests with this body (see `Plan`).

        Raises:
            StartError: The server refuses connections, or does not answer for a minute.
        """
        address = urlsplit(self.url)
        plan = Plan(
            address.hostname or "",
            address.port or 80,
            path,
            content_type,
            seconds,
            concurrency,
            rate,
            self.api_key,
        )
        try:
            done = subprocess.run(
                [sys.executable, "-m", "fer_benchmarks.load"],
                input=json.dumps(asdict(plan)).encode() + b"\n" + body,
                capture_output=True,
                check=True,
                timeout=seconds + _PATIENCE_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise StartError(f"{self.url} did not answer for {_PATIENCE_SECONDS} seconds") from error
        except subprocess.CalledProcessError as error:
            last = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise StartError(f"the load generator failed at {self.url}: {last}") from error
        fields: dict[str, Any] = json.loads(done.stdout)
        fields["statuses"] = {int(status): count for status, count in fields["statuses"].items()}
        return LoadResult(**fields)


def predict_path(detect: bool) -> str:
    """Return path and query of a prediction request."""
    return "/predict" if detect else "/predict?detect=false"


def multipart(image: bytes) -> tuple[bytes, str]:
    """Return a multipart body with the image as field `file`, and its content type."""
    boundary = "fer-benchmark"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return (
        head.encode() + image + f"\r\n--{boundary}--\r\n".encode(),
        f"multipart/form-data; boundary={boundary}",
    )


class Connection(asyncio.Protocol):
    """A keep-alive HTTP/1.1 connection with one request at a time."""

    def __init__(self) -> None:
        self._transport: Any = None  # uvloop's transports do not inherit from asyncio's
        self._buffer = bytearray()
        self._missing = -1
        self._response: asyncio.Future[int] | None = None
        self._status = 0

    async def send(self, request: bytes) -> int:
        """Send a request; return the response's status, or 0 if the connection broke."""
        if self._transport is None or self._transport.is_closing():
            return 0
        self._response = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._response

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read the head of a response, then count the bytes of its body."""
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
            self._finish(self._status)

    def connection_lost(self, exc: Exception | None) -> None:
        """Finish a pending request with status 0."""
        self._finish(0)

    def _finish(self, status: int) -> None:
        if self._response is not None and not self._response.done():
            self._response.set_result(status)


async def send_load(plan: Plan, body: bytes) -> LoadResult:
    """Send the planned requests and measure the responses."""
    head = [
        f"POST {plan.path} HTTP/1.1",
        f"Host: {plan.host}:{plan.port}",
        f"Content-Type: {plan.content_type}",
        f"Content-Length: {len(body)}",
        *([f"X-API-Key: {plan.api_key}"] if plan.api_key else []),
    ]
    request = "".join(f"{line}\r\n" for line in [*head, ""]).encode() + body
    times: list[tuple[int, float]] = []
    cpu, began = time.process_time(), time.perf_counter()
    await (_open_loop if plan.rate else _closed_loop)(plan, request, times)
    seconds = time.perf_counter() - began
    return LoadResult(
        seconds,
        dict(Counter(status for status, _ in times)),
        _quantiles([milliseconds for status, milliseconds in times if status == 200]),
        _quantiles([milliseconds for status, milliseconds in times if status == 429]),
        time.process_time() - cpu,
    )


async def _closed_loop(plan: Plan, request: bytes, times: list[tuple[int, float]]) -> None:
    end = time.perf_counter() + plan.seconds

    async def client() -> None:
        connection = await _connect(plan)
        while (began := time.perf_counter()) < end:
            status = await connection.send(request)
            times.append((status, (time.perf_counter() - began) * 1e3))
            if not status:
                connection = await _connect(plan)
        connection.close()

    await asyncio.gather(*[client() for _ in range(plan.concurrency)])


async def _open_loop(plan: Plan, request: bytes, times: list[tuple[int, float]]) -> None:
    """Send each request when it is due. Time spent waiting for a free connection counts as latency."""
    free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
    for connection in [await _connect(plan) for _ in range(plan.concurrency)]:
        free.put_nowait(connection)
    began = time.perf_counter()

    async def send_one(due: float) -> None:
        connection = await free.get()
        status = await connection.send(request)
        times.append((status, (time.perf_counter() - due) * 1e3))
        free.put_nowait(connection if status else await _connect(plan))

    async with asyncio.TaskGroup() as group:
        for number in range(int(plan.rate * plan.seconds)):
            due = began + number / plan.rate
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            group.create_task(send_one(due))
    while not free.empty():
        free.get_nowait().close()


async def _connect(plan: Plan) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, plan.host, plan.port)
    return connection


def _quantiles(milliseconds: list[float]) -> list[float]:
    """Return [p50, p95, p99], linearly interpolated; empty without values."""
    ordered = sorted(milliseconds)
    quantiles = []
    for share in (0.5, 0.95, 0.99) if ordered else ():
        low, fraction = divmod(share * (len(ordered) - 1), 1)
        below, above = ordered[int(low)], ordered[min(int(low) + 1, len(ordered) - 1)]
        quantiles.append(round(below + (above - below) * fraction, 3))
    return quantiles


def main() -> None:
    """Read the plan, one line of JSON, and the body from standard input. Print the result as JSON."""
    fields: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    body = sys.stdin.buffer.read()
    print(json.dumps(asdict(_runner()(send_load(Plan(**fields), body)))))


def _runner() -> Callable[[Coroutine[Any, Any, LoadResult]], LoadResult]:
    try:
        import uvloop
    except ImportError:  # not available on every system
        return asyncio.run
    return uvloop.run


if __name__ == "__main__":
    main()
