"""Bounds on what is in flight, over all requests and streams: requests in progress, streams, and their bytes."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from fer_service.contract.errors import Overloaded
from fer_service.http.ledger import Hold, Ledger
from fer_service.observability.metrics import Metrics

_RESERVE: Final = 8  # an eighth of the places is not for one client alone
_LEAST: Final = 2  # so few places are not reserved


class Admission:
    """Admits work up to its limits and refuses the rest before it costs anything.

    An upload takes bytes as they arrive. It takes a place among the requests in progress when it is complete.

    Attributes:
        ledger: Books the bytes of uploads, frames and answers.
        stream_places: Places for frames of streams. Half of all places are left to requests, and half of those for
            streams to other clients.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        max_requests: int,
        max_bytes: int,
        max_streams: int,
        max_per_client: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start empty.

        Args:
            metrics: Counts what is in flight and each refusal.
            max_requests: Maximum requests and stream frames in progress.
            max_bytes: Maximum bytes of uploads, frames and answers.
            max_streams: Maximum open streams.
            max_per_client: Maximum requests, uploads and streams per client.
            clock: Seconds.
        """
        self._metrics = metrics
        self._max_requests = max_requests
        self._max_streams = max_streams
        self._max_per_client = max_per_client
        self._open: Counter[str] = Counter()  # requests, uploads and streams of a client
        self._in_progress: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()
        self.stream_places = Places(max(1, max_requests // 2), max(1, max_requests // 4))
        self.ledger = Ledger(
            max_bytes,
            changed=metrics.held_bytes.set,
            rejected=lambda reason: metrics.rejected.labels(reason).inc(),
            clock=clock,
        )

    @contextmanager
    def request(self, client: str, declared: int) -> Iterator[Hold]:
        """Admit a request while the block runs, before its body is read.

        Args:
            client: The holder of an API key, or an address.
            declared: Length that the request declares for its body. It is checked, and nothing is booked.

        Returns:
            The bytes of its body: none yet.

        Raises:
            Overloaded: a limit is reached.
        """
        self._check_place(client)
        with self._client(client), self.ledger.hold(client) as hold:
            self.ledger.check(hold, declared)
            yield hold

    @contextmanager
    def place(self, client: str) -> Iterator[None]:
        """Hold a place among the requests in progress while the block runs.

        Raises:
            Overloaded: a limit is reached.
        """
        self.enter(client)
        try:
            yield
        finally:
            self.leave(client)

    def enter(self, client: str) -> None:
        """Take a place; `leave` must follow.

        Raises:
            Overloaded: a limit is reached.
        """
        self._check_place(client)
        self._in_progress[client] += 1
        self._metrics.in_flight.set(self._in_progress.total())

    def leave(self, client: str) -> None:
        """Release the place that `enter` took."""
        _subtract(self._in_progress, client)
        self._metrics.in_flight.set(self._in_progress.total())

    @contextmanager
    def stream(self, client: str) -> Iterator["StreamFrames"]:
        """Admit a stream while the block runs.

        Args:
            client: The holder of an API key, or an address.

        Returns:
            Admits its frames.

        Raises:
            Overloaded: a limit is reached.
        """
        if self._streams.total() >= self._max_streams:
            self._refuse("streams", f"{self._max_streams} streams are open, the maximum (FER_MAX_STREAMS)")
        if self._streams[client] >= _one_clients(self._max_streams):
            self._refuse("client", f"this client has {self._streams[client]} streams open, its maximum")
        with self._client(client), self.ledger.hold(client) as hold, self._counted_stream(client):
            yield StreamFrames(self, hold)

    def reject_stream(self) -> None:
        """Count a stream that was closed because of its frames."""
        self._metrics.rejected.labels("frames").inc()

    @contextmanager
    def _client(self, client: str) -> Iterator[None]:
        """Count a request or stream of a client while the block runs."""
        if self._max_per_client and self._open[client] >= self._max_per_client:
            self._refuse("client", f"this client has {self._max_per_client} requests or streams open, its maximum")
        self._open[client] += 1
        try:
            yield
        finally:
            _subtract(self._open, client)

    @contextmanager
    def _counted_stream(self, client: str) -> Iterator[None]:
        self._streams[client] += 1
        self._metrics.streams.set(self._streams.total())
        try:
            yield
        finally:
            _subtract(self._streams, client)
            self._metrics.streams.set(self._streams.total())

    def _check_place(self, client: str) -> None:
        if self._in_progress.total() >= self._max_requests:
            self._refuse("requests", "too many requests in flight; retry after a moment")
        if self._in_progress[client] >= _one_clients(self._max_requests):
            self._refuse(
                "client", f"this client has {self._in_progress[client]} requests in progress, its maximum"
            )

    def _refuse(self, reason: str, text: str) -> None:
        self._metrics.rejected.labels(reason).inc()
        raise Overloaded(text)


class StreamFrames:
    """Bounds the frames of one stream: their bytes, and the places of those that are analyzed."""

    def __init__(self, admission: Admission, hold: Hold) -> None:
        """Start without frames.

        Args:
            admission: Has the places.
            hold: The bytes of all frames of the stream.
        """
        self._admission = admission
        self._hold = hold

    def hold(self, size: int) -> None:
        """Book the bytes of a frame; `release` must follow.

        Raises:
            Overloaded: they do not fit.
        """
        self._admission.ledger.grow(self._hold, size)

    def release(self, size: int) -> None:
        """Release what `hold` booked with the same size."""
        self._admission.ledger.shrink(self._hold, size)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place among those of streams, and hold it while the block runs.

        Raises:
            Overloaded: a limit is reached.
        """
        async with self._admission.stream_places.place(self._hold.client):
            with self._admission.place(self._hold.client):
                yield


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
            _subtract(self._users, client)
            if client not in self._users:
                del self._clients[client]


def _one_clients(places: int) -> int:
    """Return how many of the places one client may have."""
    return max(places - max(1, places // _RESERVE), min(places, _LEAST))


def _subtract(counts: Counter[str], client: str) -> None:
    """Count one less, and forget a client that has none."""
    counts[client] -= 1
    if not counts[client]:
        del counts[client]
