import asyncio
from contextlib import ExitStack
from typing import Any

import pytest
from fer_service.contract.errors import Overloaded
from fer_service.http.admission import Admission
from fer_service.observability.metrics import Metrics
from prometheus_client import CollectorRegistry

from tests.service.conftest import HeldClassifier, plain
from tests.service.http.conftest import FACE, build, call, running

IMAGE = plain("lime")
LENGTH = {"Content-Length": str(len(IMAGE))}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def admission(registry: CollectorRegistry, **limits: int) -> Admission:
    return Admission(Metrics(registry), **({"max_requests": 9, "max_bytes": 1000, "max_streams": 9} | limits))


@pytest.mark.parametrize(
    ("max_requests", "inside", "size", "reason"),
    [
        (2, [10, 10], 10, "requests"),
        (2, [10], 10, None),
        (9, [600], 401, "bytes"),
        (9, [600], 400, None),
        (9, [], 5000, None),
        (9, [5000], 1, "bytes"),
    ],
)
def test_requests_and_bytes_are_bounded(
    registry: CollectorRegistry, max_requests: int, inside: list[int], size: int, reason: str | None
) -> None:
    bounded = admission(registry, max_requests=max_requests)
    with ExitStack() as stack:
        for number, each in enumerate(inside):
            stack.enter_context(bounded.request(f"client {number}", each))
        assert registry.get_sample_value("fer_requests_in_flight") == len(inside)
        if reason is None:
            stack.enter_context(bounded.request("another", size))
        else:
            with pytest.raises(Overloaded, match="retry after a moment"), bounded.request("another", size):
                pass
            assert registry.get_sample_value("fer_rejected_total", {"reason": reason}) == 1
    assert registry.get_sample_value("fer_requests_in_flight") == 0


def test_requests_and_streams_of_a_client_count_together(registry: CollectorRegistry) -> None:
    bounded = admission(registry, max_per_client=1)
    with bounded.stream("a"):
        with pytest.raises(Overloaded, match="its maximum"), bounded.request("a", 1):
            pass
        with bounded.request("b", 1):
            pass
    with bounded.request("a", 1):
        pass
    assert registry.get_sample_value("fer_rejected_total", {"reason": "client"}) == 1
    assert registry.get_sample_value("fer_requests_in_flight") == 0


def test_streams_are_bounded(registry: CollectorRegistry) -> None:
    bounded = admission(registry, max_streams=1)
    with bounded.stream("a"):
        assert registry.get_sample_value("fer_streams") == 1
        with pytest.raises(Overloaded, match="FER_MAX_STREAMS"), bounded.stream("b"):
            pass
    with bounded.stream("b"):
        pass
    assert registry.get_sample_value("fer_streams") == 0


def test_a_failed_request_releases_its_place(registry: CollectorRegistry) -> None:
    bounded = admission(registry, max_requests=1, max_per_client=1)
    for _ in range(2):
        with pytest.raises(ArithmeticError), bounded.request("a", 1):
            raise ArithmeticError


def test_one_request_too_many_is_refused_before_its_body_is_read() -> None:
    async def scenario() -> None:
        classifier = HeldClassifier()
        async with running(build(FACE, classifier=classifier, max_in_flight=2)) as app:
            classifier.hold()
            inside = [asyncio.create_task(call(app, "/predict", IMAGE, headers=LENGTH)) for _ in range(2)]
            await classifier.busy()
            for path in ("/predict", "/predict/batch"):
                refused = await call(app, path, headers=LENGTH)
                assert (refused.status, refused.code) == (429, "overloaded")
                assert refused.headers["retry-after"] == "1"
                assert refused.headers["x-request-id"]
            for path in ("/livez", "/readyz", "/metrics", "/model"):
                assert (await call(app, path, b"", method="GET")).status == 200
            classifier.free.set()
            assert [answer.status for answer in await asyncio.gather(*inside)] == [200, 200]
            metrics = (await call(app, "/metrics", b"", method="GET")).body.decode()
            assert 'fer_requests_total{code="429",route="/predict"} 1.0' in metrics

    asyncio.run(scenario())


@pytest.mark.parametrize("length", ["200000", "9" * 5000])
def test_too_many_bytes_are_refused_before_they_are_read(length: str) -> None:
    async def scenario() -> None:
        classifier = HeldClassifier()
        limits: dict[str, Any] = {"max_in_flight": 8, "max_batch_images": 1, "max_image_bytes": 100_000}
        async with running(build(FACE, classifier=classifier, **limits)) as app:
            classifier.hold()
            inside = asyncio.create_task(call(app, "/predict", IMAGE, headers=LENGTH))
            await classifier.busy()
            refused = await call(app, "/predict", headers={"Content-Length": length})
            assert (refused.status, refused.code) == (429, "overloaded")
            classifier.free.set()
            assert (await inside).status == 200
            metrics = (await call(app, "/metrics", b"", method="GET")).body.decode()
            assert 'fer_rejected_total{reason="bytes"} 1.0' in metrics

    asyncio.run(scenario())
