"""Uploads that end early when other clients need their memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fer_service.http.ledger import Hold, Ledger


@asynccontextmanager
async def preemptible(ledger: Ledger, hold: Hold) -> AsyncIterator[None]:
    """Let others take the bytes of a hold while the block runs; keep them for work after it.

    Args:
        ledger: Books the bytes.
        hold: The bytes that the block reads.

    Raises:
        Overloaded: the client's bytes in work are as many as one client may have.
        Preempted: the transfer was cancelled.
    """
    try:
        async with asyncio.timeout(None) as limit:
            hold.give_up = lambda: limit.reschedule(0)
            try:
                yield
                ledger.pin(hold)
            finally:
                hold.give_up = None
    except TimeoutError:
        hold.check()
        raise
