"""Limits on how long a request may take: its deadline, and the patience of its client."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from fer_service.contract.errors import DeadlineExceeded
from fer_service.contract.job import Job

_Result = TypeVar("_Result")


@asynccontextmanager
async def time_limit(job: Job, setting: str = "FER_REQUEST_TIMEOUT") -> AsyncIterator[None]:
    """Run the block until the job's deadline at most.

    Args:
        job: Has the deadline.
        setting: Name of the setting that says so, for the error.

    Raises:
        DeadlineExceeded: the deadline passed.
    """
    try:
        async with asyncio.timeout(job.deadline - time.monotonic()):
            yield
    except TimeoutError as error:
        job.cancel()
        raise DeadlineExceeded(f"request timed out ({setting})") from error


async def cancel_on_disconnect(request: Request, work: Awaitable[_Result]) -> _Result:
    """Await work, and cancel it if the client disconnects.

    Args:
        request: A request whose body has been read.
        work: The work.

    Raises:
        ClientDisconnect: the client disconnected.
    """
    task, disconnect = asyncio.current_task(), asyncio.ensure_future(request.receive())
    working = True

    def cancel(received: asyncio.Future[Message]) -> None:
        if task and working and not received.cancelled():
            task.cancel()

    disconnect.add_done_callback(cancel)
    try:
        return await work
    except asyncio.CancelledError as error:
        # If someone else cancelled the task too, they must see the cancellation.
        if task and disconnect.done() and not task.uncancel():
            raise ClientDisconnect from error
        raise
    finally:
        working = False  # the callback may be due already
        disconnect.cancel()
