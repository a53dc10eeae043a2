import asyncio
import logging

import pytest
from fer_service.http.middleware.request_metrics import RequestMetricsMiddleware
from fer_service.observability.metrics import Metrics
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.service.http.conftest import Answer, call


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

    scope: Scope = {"type": kind, "path": "/x", "headers": []}
    asyncio.run(RequestMetricsMiddleware(echo, metrics)(scope, receive, send))
    assert scope["seen"] is True


def test_nothing_is_logged_for_an_answer_in_good_order(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="fer_service"):
        observed(answer, metrics)
    assert not caplog.records
