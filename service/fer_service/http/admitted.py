"""A request from its admission to its answer: limits, deadline, upload, place, and a client that may leave."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from starlette.requests import Request

from fer_service.contract.job import Job
from fer_service.http.admission import Admission
from fer_service.http.ledger import Hold
from fer_service.http.preemption import preemptible
from fer_service.http.state import AppState
from fer_service.http.time_limit import cancel_on_disconnect, time_limit
from fer_service.http.uploads import Book, declared_length

_Result = TypeVar("_Result")


class AdmittedRequest:
    """A request whose body is read first, and which then takes a place among the requests in progress."""

    def __init__(self, request: Request, admission: Admission, hold: Hold) -> None:
        """Begin.

        Args:
            request: The request.
            admission: Has the places, and books the bytes.
            hold: The bytes of its body.
        """
        self._request, self._admission, self._hold = request, admission, hold

    @asynccontextmanager
    async def upload(self) -> AsyncIterator[Book]:
        """Yield a function that books bytes of the body. Meanwhile others may take them (see `preemptible`)."""
        ledger = self._admission.ledger
        async with preemptible(ledger, self._hold):
            yield partial(ledger.grow, self._hold)

    async def result(self, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """Run work in a place among the requests in progress.

        Raises:
            Overloaded: no place is free.
            ClientDisconnect: the client disconnected; the work was cancelled.
        """
        with self._admission.place(self._hold.client):
            return await cancel_on_disconnect(self._request, work())


@asynccontextmanager
async def admitted(request: Request, state: AppState, job: Job) -> AsyncIterator[AdmittedRequest]:
    """Admit a request while the block runs, which ends at the job's deadline at the latest.

    Args:
        request: The request. Nothing of its body has been read.
        state: The parts of the application.
        job: Its client and its deadline.

    Raises:
        NotReady: the service cannot work.
        Overloaded: a limit is reached.
        DeadlineExceeded: the deadline passed.
    """
    state.check_alive()
    with state.admission.request(job.client, declared_length(request, 0)) as hold:
        async with time_limit(job):
            yield AdmittedRequest(request, state.admission, hold)
