"""Seats for streams and videos, which last for minutes, and places for their frames."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from fer_service.contract.errors import Overloaded

_RESERVE: Final = 8  # an eighth of the places is not for one client alone
_LEAST: Final = 2  # so few places are not reserved


def one_clients(places: int) -> int:
    """Return how many of the places one client may have."""
    return max(places - max(1, places // _RESERVE), min(places, _LEAST))


def subtract(counts: Counter[str], client: str) -> None:
    """Count one less, and forget a client that has none."""
    counts[client] -= 1
    if not counts[client]:
        del counts[client]


class Seats:
    """A number of seats. One client can have most of them, but not all."""

    def __init__(
        self,
        what: str,
        maximum: int,
        setting: str,
        *,
        changed: Callable[[int], object],
        refused: Callable[[str, str], Overloaded],
    ) -> None:
        """Start with free seats.

        Args:
            what: What takes a seat, in the plural.
            maximum: Number of seats.
            setting: Name of the setting that says so.
            changed: Called with the number of taken seats after each change.
            refused: Counts a refusal, given its reason and its text, and returns the error.
        """
        self._what = what
        self._maximum = maximum
        self._setting = setting
        self._changed = changed
        self._refused = refused
        self._clients: Counter[str] = Counter()

    def check(self, client: str) -> None:
        """Raise what `taken` would raise; take nothing."""
        if self._clients.total() >= self._maximum:
            raise self._refused(
                self._what, f"{self._maximum} {self._what} are open, the maximum ({self._setting}); retry later"
            )
        if self._clients[client] >= one_clients(self._maximum):
            raise self._refused(
                "client", f"this client has {self._clients[client]} {self._what} open, the maximum per client"
            )

    @contextmanager
    def taken(self, client: str) -> Iterator[None]:
        """Take a seat while the block runs.

        Args:
            client: Who takes it.

        Raises:
            Overloaded: no seat is free, or the client has as many as one client may have.
        """
        self.check(client)
        self._clients[client] += 1
        self._changed(self._clients.total())
        try:
            yield
        finally:
            subtract(self._clients, client)
            self._changed(self._clients.total())


class Places:
    """Places for which work waits. One client has a part of them at most."""

    def __init__(self, places: int, per_client: int) -> None:
        """Start with free places.

        Args:
            places: Number of places.
            per_client: Number of places that one client can hold at a time.
        """
        self._all = asyncio.Semaphore(places)
        self._per_client = per_client
        self._clients: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()  # who waits for a place or holds one

    @asynccontextmanager
    async def place(self, client: str) -> AsyncIterator[None]:
        """Wait for a place, and hold it while the block runs."""
        own = self._clients.setdefault(client, asyncio.Semaphore(self._per_client))
        self._users[client] += 1
        try:
            async with own, self._all:
                yield
        finally:
            subtract(self._users, client)
            if client not in self._users:
                del self._clients[client]
