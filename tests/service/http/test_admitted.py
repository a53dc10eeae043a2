import asyncio
import time
from typing import Any

import pytest
from fer_service.contract.errors import DeadlineExceeded, NotReady, Overloaded
from fer_service.contract.job import Job
from fer_service.http.admission import Admission
from fer_service.http.admitted import admitted
from fer_service.observability.metrics import Metrics
from prometheus_client import CollectorRegistry
from starlette.requests import Request

from tests.service.conftest import SECONDS

REGISTERED = "fer_requests_in_flight", "fer_held_bytes"


class State:
    """What admission needs of the application."""

    def __init__(self, *, max_requests: int = 9, alive: bool = True) -> None:
        self.registry = CollectorRegistry()
        self.admission = Admission(
            Metrics(self.registry), max_requests=max_requests, max_bytes=1000, max_streams=1
        )
        self._alive = alive

    def check_alive(self) -> None:
        if not self._alive:
            raise NotReady("not loaded")

    def values(self) -> list[float | None]:
        """Requests in progress, and bytes."""
        return [self.registry.get_sample_value(name) for name in REGISTERED]


async def never() -> Any:
    await asyncio.Event().wait()


def request(length: int = 0) -> Request:
    return Request({"type": "http", "headers": [(b"content-length", str(length).encode())]}, never)


def job(seconds: float = SECONDS) -> Job:
    return Job(time.monotonic() + seconds, "a")


def test_bytes_are_held_from_the_upload_on_and_a_place_during_the_work() -> None:
    state: Any = State()
    seen = []

    async def work() -> str:
        seen.append(state.values())
        return "answer"

    async def route() -> str:
        async with admitted(request(10), state, job()) as request_:
            async with request_.upload() as book:
                book(10)
                seen.append(state.values())
            return await request_.result(work)

    assert asyncio.run(route()) == "answer"
    assert [*seen, state.values()] == [[0, 10], [1, 10], [0, 0]]


def test_without_a_free_place_the_work_does_not_begin() -> None:
    state: Any = State(max_requests=1)
    begun = []

    async def work() -> None:
        begun.append(True)

    async def route() -> None:
        async with admitted(request(), state, job()) as request_:
            with state.admission.place("b"):
                await request_.result(work)

    with pytest.raises(Overloaded):
        asyncio.run(route())
    assert (begun, state.values()) == ([], [0, 0])


@pytest.mark.parametrize("where", ["upload", "work"])
def test_the_deadline_ends_the_upload_and_the_work(where: str) -> None:
    state: Any = State()
    late = job(0.05)

    async def route() -> None:
        async with admitted(request(), state, late) as request_:
            async with request_.upload():
                if where == "upload":
                    await never()
            await request_.result(never)

    with pytest.raises(DeadlineExceeded, match="FER_REQUEST_TIMEOUT"):
        asyncio.run(route())
    assert late.cancelled
    assert state.values() == [0, 0]


def test_a_service_that_cannot_work_admits_nothing() -> None:
    state: Any = State(alive=False)

    async def route() -> None:
        async with admitted(request(10), state, job()):
            pytest.fail("it was admitted")

    with pytest.raises(NotReady):
        asyncio.run(route())
    assert state.values() == [0, 0]
