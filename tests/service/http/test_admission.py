import asyncio
import random
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from fastapi import FastAPI
from fer_service.contract.errors import Overloaded
from fer_service.http.admission import Admission
from fer_service.observability.metrics import Metrics
from prometheus_client import CollectorRegistry

from tests.service.conftest import SECONDS, HeldClassifier, plain
from tests.service.http.conftest import FACE, Exchange, build, call, running

IMAGE = plain("lime")
LENGTH = {"Content-Length": str(len(IMAGE))}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def admission(registry: CollectorRegistry, **limits: int) -> Admission:
    return Admission(Metrics(registry), **({"max_requests": 9, "max_bytes": 1000, "max_streams": 9} | limits))


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_a_request_takes_a_place_when_its_body_is_complete(registry: CollectorRegistry) -> None:
    bounded = admission(registry, max_requests=1)
    with ExitStack() as stack:
        for client in "abc":
            stack.enter_context(bounded.request(client, 10))
        assert value(registry, "fer_requests_in_flight") == 0
        stack.enter_context(bounded.place("a"))
        assert value(registry, "fer_requests_in_flight") == 1
        with pytest.raises(Overloaded, match="retry after a moment"), bounded.place("b"):
            pass
        with pytest.raises(Overloaded), bounded.request("d", 10):
            pass
    assert value(registry, "fer_rejected_total", reason="requests") == 2
    assert value(registry, "fer_requests_in_flight") == 0


def test_a_declared_length_is_checked_and_not_booked(registry: CollectorRegistry) -> None:
    bounded = admission(registry)
    with bounded.request("a", 1000) as hold:
        assert value(registry, "fer_held_bytes") == 0
        bounded.ledger.grow(hold, 600)
        assert value(registry, "fer_held_bytes") == 600
        with bounded.request("b", 400):
            pass
        with pytest.raises(Overloaded), bounded.request("b", 401):
            pass
    assert value(registry, "fer_rejected_total", reason="bytes") == 1
    assert value(registry, "fer_held_bytes") == 0


@pytest.mark.parametrize(("places", "most"), [(1, 1), (2, 2), (3, 2), (4, 3), (16, 14), (64, 56)])
def test_one_client_cannot_have_every_place(registry: CollectorRegistry, places: int, most: int) -> None:
    bounded = admission(registry, max_requests=places, max_streams=places)
    for enter in (bounded.place, bounded.stream):
        with ExitStack() as stack:
            for _ in range(most):
                stack.enter_context(enter("a"))
            with pytest.raises(Overloaded), enter("a"):
                pass
            for _ in range(places - most):
                stack.enter_context(enter("b"))
            with pytest.raises(Overloaded), enter("c"):
                pass


def test_a_frame_takes_bytes_and_while_it_is_analyzed_a_place(registry: CollectorRegistry) -> None:
    def taken() -> tuple[float | None, float | None]:
        return value(registry, "fer_requests_in_flight"), value(registry, "fer_held_bytes")

    async def scenario() -> None:
        bounded = admission(registry, max_requests=3)
        with bounded.stream("a") as frames:
            frames.hold(600)
            assert taken() == (0, 600)
            with pytest.raises(Overloaded):
                frames.hold(600)
            async with frames.place():
                assert taken() == (1, 600)
            frames.release(600)
            assert taken() == (0, 0)

    asyncio.run(scenario())


def test_one_client_leaves_places_of_streams_to_others(registry: CollectorRegistry) -> None:
    async def scenario() -> None:
        bounded = admission(registry, max_requests=8, max_streams=8)
        with bounded.stream("a") as first, bounded.stream("b") as second:
            async with first.place(), first.place():
                waiting = asyncio.ensure_future(first.place().__aenter__())
                async with asyncio.timeout(1), second.place():
                    assert not waiting.done()
            await waiting

    asyncio.run(scenario())


def test_frames_wait_while_streams_have_half_of_the_places(registry: CollectorRegistry) -> None:
    async def scenario() -> None:
        bounded = admission(registry, max_requests=4)
        with bounded.stream("a") as first, bounded.stream("b") as second, bounded.stream("a") as third:
            async with first.place(), second.place():
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.02), third.place():
                        pass
                with bounded.place("a"), bounded.place("a"):
                    pass
            async with third.place():
                assert value(registry, "fer_requests_in_flight") == 1

    asyncio.run(scenario())


def test_requests_and_streams_of_a_client_count_together(registry: CollectorRegistry) -> None:
    bounded = admission(registry, max_per_client=1)
    with bounded.stream("a"):
        with pytest.raises(Overloaded, match="FER_MAX_PER_CLIENT"), bounded.request("a", 1):
            pass
        with bounded.request("b", 1):
            pass
    with bounded.request("a", 1):
        pass
    assert value(registry, "fer_rejected_total", reason="client") == 1


def test_streams_are_bounded(registry: CollectorRegistry) -> None:
    bounded = admission(registry, max_streams=1)
    with bounded.stream("a"):
        assert value(registry, "fer_streams") == 1
        with pytest.raises(Overloaded, match="FER_MAX_STREAMS"), bounded.stream("b"):
            pass
    with bounded.stream("b"):
        pass
    assert value(registry, "fer_streams") == 0


def test_a_failed_request_releases_its_place(registry: CollectorRegistry) -> None:
    bounded = admission(registry, max_requests=1, max_per_client=1)
    for _ in range(2):
        with pytest.raises(ArithmeticError), bounded.request("a", 1), bounded.place("a"):
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


SMALL: dict[str, Any] = {"max_in_flight": 8, "max_batch_images": 1, "max_image_bytes": 100_000}
BUDGET = 200_000
EMPTY = {"fer_requests_in_flight": 0, "fer_held_bytes": 0, "fer_streams": 0}


def gauges(app: FastAPI) -> dict[str, float | None]:
    return {name: app.state.service.metrics.registry.get_sample_value(name) for name in EMPTY}


def rejected(app: FastAPI, reason: str) -> float | None:
    registry = app.state.service.metrics.registry
    found: float | None = registry.get_sample_value("fer_rejected_total", {"reason": reason})
    return found


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():
            await asyncio.sleep(0)


def test_uploads_that_stand_still_keep_nobody_out() -> None:
    async def scenario() -> None:
        async with running(build(FACE, **SMALL)) as app:
            idle = [Exchange(app, "/predict", headers={"Content-Length": "100000"}) for _ in range(100)]
            for each in idle[:20]:
                each.upload(b"x")
            await until(lambda: gauges(app)["fer_held_bytes"] == 20)
            assert gauges(app)["fer_requests_in_flight"] == 0
            assert (await call(app, "/predict", IMAGE, headers=LENGTH)).status == 200
            for each in idle:
                each.disconnect()
                assert (await each.answer()).status == 499
            assert gauges(app) == EMPTY

    asyncio.run(scenario())


def test_an_upload_yields_to_a_client_that_holds_less() -> None:
    async def scenario() -> None:
        async with running(build(FACE, **SMALL)) as app:
            uploads = [Exchange(app, "/predict", "large") for _ in range(2)]
            for each in uploads:
                each.upload(bytes(BUDGET // 2))
            await until(lambda: gauges(app)["fer_held_bytes"] == BUDGET)
            assert (await call(app, "/predict", IMAGE, headers=LENGTH, client="small")).status == 200
            answer = await uploads[1].answer()
            assert (answer.status, answer.code) == (429, "preempted")
            assert (answer.headers["connection"], answer.headers["retry-after"]) == ("close", "1")
            assert rejected(app, "share") == 1
            assert not uploads[0].task.done()
            uploads[0].disconnect()
            await uploads[0].answer()
            assert gauges(app) == EMPTY

    asyncio.run(scenario())


def test_a_body_that_is_complete_when_all_places_are_taken_is_refused() -> None:
    async def scenario() -> None:
        classifier = HeldClassifier()
        async with running(build(FACE, classifier=classifier, max_in_flight=1)) as app:
            slow = Exchange(app, "/predict")
            await until(lambda: len(app.state.service.admission.ledger._holds) == 1)
            classifier.hold()
            inside = asyncio.create_task(call(app, "/predict", IMAGE))
            await classifier.busy()
            slow.upload(IMAGE, more=False)
            answer = await slow.answer()
            assert (answer.status, answer.code) == (429, "overloaded")
            classifier.free.set()
            assert (await inside).status == 200
            assert gauges(app) == EMPTY

    asyncio.run(scenario())


@pytest.mark.parametrize("path", ["/predict\n", "/predict/batch\n"])
def test_no_spelling_of_a_path_passes_by_the_limits(path: str) -> None:
    async def scenario() -> None:
        classifier = HeldClassifier()
        async with running(build(FACE, classifier=classifier, max_in_flight=1)) as app:
            classifier.hold()
            inside = asyncio.create_task(call(app, "/predict", IMAGE))
            await classifier.busy()
            assert (await call(app, path, headers=LENGTH)).status in {404, 429}
            classifier.free.set()
            assert (await inside).status == 200

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(6))
def test_whatever_clients_do_nothing_stays_booked(seed: int) -> None:
    chance = random.Random(seed)
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    starts = [
        (None, IMAGE),
        ("multipart/form-data; boundary=b", form),
        ("multipart/form-data; boundary=b", b"bad"),
    ]

    async def client(app: FastAPI, name: str) -> None:
        for _ in range(6):
            kind, start = chance.choice(starts)
            headers = {"Content-Type": kind} if kind else {}
            headers |= {"Accept": chance.choice(["image/png", "application/json", "*/*"])}
            exchange = Exchange(app, chance.choice(["/predict", "/predict/batch"]), name, headers)
            exchange.upload(start)
            for _ in range(chance.randrange(4)):
                exchange.upload(bytes(chance.choice([1, 20_000, 60_000])))
                await asyncio.sleep(chance.random() / 500)
            end = chance.choice(["leave", "cancel", "complete", "complete form"])
            if end == "leave":
                exchange.disconnect()
            elif end == "cancel":
                exchange.task.cancel()
            else:
                exchange.upload(b"\r\n--b--\r\n" if end == "complete form" else b"", more=False)
            with suppress(asyncio.CancelledError):
                await exchange.answer()

    async def scenario() -> None:
        async with running(build(FACE, **SMALL)) as app:
            await asyncio.gather(*(client(app, str(number % 4)) for number in range(24)))
            assert gauges(app) == EMPTY
            state = app.state.service.admission
            assert [len(left) for left in (state.ledger._holds, state._open, state._in_progress)] == [0, 0, 0]
            assert (await call(app, "/predict", IMAGE, headers=LENGTH)).status == 200

    asyncio.run(scenario())
