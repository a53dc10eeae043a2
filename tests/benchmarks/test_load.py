import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable

import pytest
from fer_benchmarks.load import LoadGenerator, LoadResult, Plan, _quantiles, multipart, send_load
from fer_service.contract.errors import StartError
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartParser

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 4\r\n\r\nbusy"


class FakeHttpServer:
    """Reads requests and answers the n-th by a rule; None breaks the connection."""

    def __init__(self, rule: Callable[[int], bytes | None], *, pieces: int = 1, together: int = 1) -> None:
        """Set the behaviour.

        Args:
            rule: From the number of a request to its response.
            pieces: Number of writes per response.
            together: The first responses wait until so many requests are open.
        """
        self.rule, self.pieces = rule, pieces
        self.barrier = asyncio.Barrier(together)
        self.requests: list[tuple[bytes, bytes]] = []
        self.connections = 0
        self.closed = asyncio.Event()
        self._open = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                self.requests.append((head, await reader.readexactly(size)))
                number = len(self.requests)
                if number <= self.barrier.parties:
                    await self.barrier.wait()
                response = self.rule(number)
                if response is None:
                    break
                step = -(-len(response) // self.pieces)
                for start in range(0, len(response), step):
                    writer.write(response[start : start + step])
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()
        await writer.wait_closed()
        self._open -= 1
        if not self._open:
            self.closed.set()


def send(server: FakeHttpServer, *, seconds: float = 0.1, **changes: float | str) -> LoadResult:
    async def scenario() -> LoadResult:
        listener = await asyncio.start_server(server, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        fields = {"seconds": seconds, "concurrency": 1} | changes
        plan = Plan("127.0.0.1", port, "/predict?x=1", "image/jpeg", **fields)  # type: ignore[arg-type]
        async with listener:
            result = await send_load(plan, b"image")
            await server.closed.wait()
            return result

    return asyncio.run(scenario())


def test_requests_follow_the_plan() -> None:
    server = FakeHttpServer(lambda _: OK)
    send(server)
    head, body = server.requests[0]
    assert head.startswith(b"POST /predict?x=1 HTTP/1.1\r\n")
    assert b"Content-Type: image/jpeg\r\n" in head
    assert b"X-API-Key" not in head
    assert body == b"image"


def test_the_api_key_is_sent() -> None:
    server = FakeHttpServer(lambda _: OK)
    send(server, api_key="secret")
    assert all(b"\r\nX-API-Key: secret\r\n" in head for head, _ in server.requests)


def test_a_closed_loop_has_one_request_per_connection() -> None:
    server = FakeHttpServer(lambda _: OK, together=3)
    result = send(server, concurrency=3)
    assert server.connections == 3
    assert result.statuses == {200: len(server.requests)}
    assert result.rate == pytest.approx(result.answered / result.seconds)


@pytest.mark.parametrize("pieces", [2, 7, 1000])
def test_responses_may_come_in_pieces(pieces: int) -> None:
    server = FakeHttpServer(lambda _: OK, pieces=pieces)
    assert send(server).statuses == {200: len(server.requests)}


def test_refusals_are_counted_and_timed_separately() -> None:
    server = FakeHttpServer(lambda number: BUSY if number % 2 else OK)
    result = send(server)
    count = len(server.requests)
    assert result.statuses == {429: -(-count // 2), 200: count // 2}
    assert len(result.refused_milliseconds) == len(result.milliseconds) == 3


def test_refusals_do_not_count_as_answered() -> None:
    result = send(FakeHttpServer(lambda _: BUSY))
    assert (result.rate, result.milliseconds) == (0, [])


def test_a_broken_connection_is_counted_and_replaced() -> None:
    server = FakeHttpServer(lambda number: None if number == 3 else OK)
    result = send(server)
    assert result.statuses == {0: 1, 200: len(server.requests) - 1}
    assert server.connections == 2


def test_an_open_loop_sends_at_its_rate() -> None:
    result = send(FakeHttpServer(lambda _: OK), rate=200, concurrency=4)
    assert result.statuses == {200: 20}
    assert result.seconds >= 0.095, "the last request is due after 19 / 200 s"


def test_an_open_loop_counts_the_wait_for_a_connection() -> None:
    waiting = FakeHttpServer(lambda _: OK, together=5)
    result = send(waiting, rate=50, concurrency=5)
    assert result.statuses == {200: 5}
    # The first four requests wait for the fifth, which is due 80 ms after the first.
    assert result.milliseconds[0] >= 39


def test_the_load_generator_runs_in_its_own_process() -> None:
    async def scenario() -> tuple[FakeHttpServer, LoadResult]:
        server = FakeHttpServer(lambda _: OK)
        listener = await asyncio.start_server(server, "127.0.0.1", 0)
        load = LoadGenerator(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", "secret")
        async with listener:
            result = await asyncio.to_thread(load.run, b"body\nof lines", seconds=0.05, concurrency=2)
            await server.closed.wait()
        return server, result

    server, result = asyncio.run(scenario())
    assert {body for _, body in server.requests} == {b"body\nof lines"}
    assert b"X-API-Key: secret" in server.requests[0][0]
    assert result.statuses == {200: len(server.requests)}
    assert result.client_cpu > 0


@pytest.mark.parametrize(
    ("latencies", "quantiles"),
    [([], []), ([7.0], [7, 7, 7]), ([4, 1, 3, 2, 5], [3, 4.8, 4.96]), (range(101), [50, 95, 99])],
)
def test_quantiles_are_interpolated(latencies: Iterable[float], quantiles: list[float]) -> None:
    assert _quantiles(list(latencies)) == pytest.approx(quantiles)


def test_a_closed_port_is_an_error() -> None:
    with pytest.raises(StartError, match=r"load generator failed at http://127\.0\.0\.1:1: .*refused"):
        LoadGenerator("http://127.0.0.1:1").run(b"", seconds=0.1, concurrency=1)


def test_the_multipart_body_has_the_image_as_file() -> None:
    body, content_type = multipart(b"\x00image\r\n--")

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    async def parse() -> bytes:
        form = await MultiPartParser(Headers({"content-type": content_type}), stream()).parse()
        upload = form["file"]
        assert isinstance(upload, UploadFile)
        content = await upload.read()
        await form.close()
        return content

    assert asyncio.run(parse()) == b"\x00image\r\n--"
