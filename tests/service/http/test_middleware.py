import asyncio
import logging

import pytest
from fer_service.http.access import CLIENT
from fer_service.http.admission import Admission
from fer_service.http.middleware import AdmissionMiddleware, RequestMetricsMiddleware
from fer_service.observability.metrics import Metrics
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.service.conftest import SECONDS
from tests.service.http.conftest import Answer, call

UNDECLARED = 1000


class Held:
    """An app that reads its body and answers 204 once it is let."""

    def __init__(self) -> None:
        self.inside = 0
        self.entered = asyncio.Event()
        self.free = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        self.entered.set()
        await self.free.wait()
        await answer(scope, receive, send)
        self.inside -= 1


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise ArithmeticError("nobody foresaw this")


async def broken_midway(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ArithmeticError("nobody foresaw this")


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    """What a route does whose client is gone."""


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    scope["seen"] = True


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


def observed(app: ASGIApp, metrics: Metrics, headers: dict[str, str] | None = None) -> Answer:
    return asyncio.run(call(RequestMetricsMiddleware(app, metrics), "/x", headers=headers))


@pytest.mark.parametrize("given", ["abc-123", "!", "x" * 128])
def test_a_request_id_is_echoed(metrics: Metrics, given: str) -> None:
    assert observed(answer, metrics, {"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "with space", "tab\t", "ümlaut"])
def test_an_id_that_could_do_harm_is_replaced(metrics: Metrics, given: str) -> None:
    made = observed(answer, metrics, {"X-Request-ID": given}).headers["x-request-id"]
    assert len(made) == 32
    assert set(made) <= set("0123456789abcdef")


def test_ids_that_are_made_differ(metrics: Metrics) -> None:
    assert len({observed(answer, metrics).headers["x-request-id"] for _ in range(3)}) == 3


def test_what_nobody_foresaw_is_logged_and_answered_without_details(
    metrics: Metrics, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    response = observed(broken, metrics, {"X-Request-ID": "the-id"})
    assert (response.status, response.code) == (500, "internal_error")
    assert b"nobody foresaw" not in response.body
    assert response.headers["x-request-id"] == "the-id"
    assert "request the-id failed" in caplog.text
    assert "ArithmeticError: nobody foresaw this" in caplog.text
    assert registry.get_sample_value("fer_requests_total", {"route": "unmatched", "code": "500"}) == 1


def test_an_answer_that_breaks_midway_is_not_answered_twice(metrics: Metrics) -> None:
    assert observed(broken_midway, metrics).status == 200


def test_a_request_without_an_answer_counts_as_closed_by_the_client(
    metrics: Metrics, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    async def send(message: Message) -> None:
        raise AssertionError(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with caplog.at_level(logging.INFO, logger="fer_service"):
        asyncio.run(RequestMetricsMiddleware(silent, metrics, access_log=True)(scope, receive, send))
    assert "GET unmatched 499" in caplog.text
    assert registry.get_sample_value("fer_requests_total", {"route": "unmatched", "code": "499"}) == 1
    assert registry.get_sample_value("fer_request_duration_seconds_count", {"route": "unmatched"}) == 1


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_what_is_no_http_passes_untouched(metrics: Metrics, kind: str) -> None:
    async def receive() -> Message:
        raise AssertionError("received")

    async def send(message: Message) -> None:
        raise AssertionError(message)

    for layer in (RequestMetricsMiddleware(echo, metrics), door_before(echo, metrics, 1, 1)):
        scope: Scope = {"type": kind, "path": "/x", "headers": []}
        asyncio.run(layer(scope, receive, send))
        assert scope["seen"] is True


def door_before(app: ASGIApp, metrics: Metrics, max_requests: int, max_bytes: int) -> AdmissionMiddleware:
    admission = Admission(metrics, max_requests=max_requests, max_bytes=max_bytes)
    return AdmissionMiddleware(app, admission=admission, paths=["/x"], streams=[], undeclared_bytes=UNDECLARED)


async def held(door: AdmissionMiddleware, app: Held, size: int) -> "asyncio.Task[Answer]":
    """A request that has passed the door and stays inside."""
    app.entered.clear()
    task = asyncio.create_task(call(door, "/x", b"", headers={"Content-Length": str(size)}))
    async with asyncio.timeout(SECONDS):
        await app.entered.wait()
    return task


@pytest.mark.parametrize(
    ("max_requests", "max_bytes", "inside", "size", "reason"),
    [
        (2, 1000, [10, 10], 10, "requests"),
        (2, 1000, [10], 10, None),
        (9, 1000, [600], 401, "bytes"),
        (9, 1000, [600], 400, None),
        (9, 1000, [], 5000, None),
        (9, 1000, [5000], 1, "bytes"),
    ],
)
def test_the_door_counts_requests_and_bytes(
    metrics: Metrics,
    registry: CollectorRegistry,
    max_requests: int,
    max_bytes: int,
    inside: list[int],
    size: int,
    reason: str | None,
) -> None:
    async def scenario() -> None:
        app = Held()
        door = door_before(app, metrics, max_requests, max_bytes)
        tasks = [await held(door, app, each) for each in inside]
        assert registry.get_sample_value("fer_requests_in_flight") == len(inside)
        if reason is None:
            tasks.append(await held(door, app, size))
        else:
            refused = await call(door, "/x", headers={"Content-Length": str(size)})
            assert (refused.status, refused.code) == (429, "overloaded")
            assert int(refused.headers["retry-after"]) >= 1
            assert registry.get_sample_value("fer_rejected_total", {"reason": reason}) == 1
        assert app.inside == len(tasks)
        app.free.set()
        assert [answer.status for answer in await asyncio.gather(*tasks)] == [204] * len(tasks)
        assert registry.get_sample_value("fer_requests_in_flight") == 0

    asyncio.run(scenario())


def test_streams_take_their_clients_places(metrics: Metrics, registry: CollectorRegistry) -> None:
    async def open_stream(door: AdmissionMiddleware, client: str) -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        extensions: dict[str, object] = {"websocket.http.response": {}}
        await door({"type": "websocket", "path": "/s", CLIENT: client, "extensions": extensions}, receive, send)
        return sent

    async def scenario() -> None:
        app = Held()
        admission = Admission(metrics, max_requests=9, max_bytes=9, max_per_client=1)
        door = AdmissionMiddleware(
            app, admission=admission, paths=["/x"], streams=["/s"], undeclared_bytes=UNDECLARED
        )
        first = asyncio.create_task(open_stream(door, "a"))
        async with asyncio.timeout(SECONDS):
            await app.entered.wait()
        refused = await open_stream(door, "a")
        assert (refused[0]["type"], refused[0]["status"]) == ("websocket.http.response.start", 429)
        other = asyncio.create_task(open_stream(door, "b"))
        app.free.set()
        await asyncio.gather(first, other)
        assert app.inside == 0
        assert "status" in (await open_stream(door, "a"))[0]

    asyncio.run(scenario())
    assert registry.get_sample_value("fer_rejected_total", {"reason": "client"}) == 1


def test_the_door_opens_again_even_after_a_failure(metrics: Metrics) -> None:
    async def scenario() -> None:
        door = door_before(broken, metrics, 1, 1)
        for _ in range(3):
            with pytest.raises(ArithmeticError):
                await call(door, "/x", headers={"Content-Length": "100"})

    asyncio.run(scenario())


def test_only_posts_stand_before_the_door(metrics: Metrics) -> None:
    async def scenario() -> None:
        app = Held()
        door = door_before(app, metrics, 1, 1)
        task = await held(door, app, 1)
        app.free.set()
        assert (await call(door, "/x", method="GET")).status == 204
        await task

    asyncio.run(scenario())


@pytest.mark.parametrize("length", ["", "-5", "many", "1e9", "²"])
def test_a_length_that_is_no_number_counts_as_undeclared(metrics: Metrics, length: str) -> None:
    async def second_beside(size: int) -> int:
        app = Held()
        door = door_before(app, metrics, 9, UNDECLARED + 1)
        task = await held(door, app, size)
        app.free.set()
        status = (await call(door, "/x", headers={"Content-Length": length})).status
        await task
        return status

    assert asyncio.run(second_beside(1)) == 204
    assert asyncio.run(second_beside(2)) == 429


def test_other_routes_have_no_door(metrics: Metrics) -> None:
    async def scenario() -> None:
        app = Held()
        door = door_before(app, metrics, 1, 1)
        task = await held(door, app, 1)
        app.free.set()
        assert (await call(door, "/y", headers={"Content-Length": "5"})).status == 204
        await task

    asyncio.run(scenario())


def test_a_refusal_is_counted_for_its_route(metrics: Metrics, registry: CollectorRegistry) -> None:
    async def scenario() -> None:
        app = Held()
        door = door_before(app, metrics, 1, 1)
        task = await held(door, app, 1)
        assert (
            await call(RequestMetricsMiddleware(door, metrics), "/x", headers={"Content-Length": "1"})
        ).status == 429
        app.free.set()
        await task

    asyncio.run(scenario())
    assert registry.get_sample_value("fer_requests_total", {"route": "/x", "code": "429"}) == 1


def test_nothing_is_logged_for_an_answer_in_good_order(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="fer_service"):
        observed(answer, metrics)
    assert not caplog.records
