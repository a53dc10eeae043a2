"""Bounds on what is in flight: requests in progress, streams, videos, and their bytes."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from fer_service.contract.errors import Overloaded
from fer_service.contract.job import Job
from fer_service.http.ledger import Hold, Ledger
from fer_service.http.seats import Places, Seats, one_clients, subtract
from fer_service.observability.metrics import Metrics

_PAUSE: Final = 0.05  # seconds between two looks for a free place


class Admission:
    """Admits work up to its limits and refuses the rest before it costs anything.

    An upload takes bytes as they arrive. It takes a place among the requests in progress when it is complete.

    Attributes:
        ledger: Books the bytes of uploads, frames and answers.
        frame_places: Places for frames of streams and videos. Half of all places are left to requests, and half of
            those for frames to other clients.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        max_requests: int,
        max_bytes: int,
        max_streams: int,
        max_videos: int = 0,
        max_per_client: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start empty.

        Args:
            metrics: Counts what is in flight and each refusal.
            max_requests: Maximum requests and stream frames in progress.
            max_bytes: Maximum bytes of uploads, frames and answers.
            max_streams: Maximum open streams.
            max_videos: Maximum videos in progress.
            max_per_client: Maximum requests, uploads, streams and videos per client.
            clock: Seconds.
        """
        self._metrics = metrics
        self._max_requests = max_requests
        self._max_per_client = max_per_client
        self._open: Counter[str] = Counter()  # requests, uploads, streams and videos of a client
        self._in_progress: Counter[str] = Counter()
        self._streams = Seats(
            "streams", max_streams, "FER_MAX_STREAMS", changed=metrics.streams.set, refused=self._refused
        )
        self._videos = Seats(
            "videos", max_videos, "FER_MAX_VIDEOS", changed=metrics.videos.set, refused=self._refused
        )
        self.frame_places = Places(max(1, max_requests // 2), max(1, max_requests // 4))
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
        subtract(self._in_progress, client)
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
        with self._streams.taken(client), self._client(client), self.ledger.hold(client) as hold:
            yield StreamFrames(self, hold)

    def check_video(self, client: str) -> None:
        """Raise what `video` would raise, before an upload that would be for nothing."""
        self._videos.check(client)

    @contextmanager
    def video(self, hold: Hold) -> Iterator["StreamFrames"]:
        """Admit an uploaded video while the block runs.

        Args:
            hold: The bytes of its body, from `request`.

        Returns:
            Admits its frames.

        Raises:
            Overloaded: a limit is reached.
        """
        with self._videos.taken(hold.client):
            yield StreamFrames(self, hold)

    def reject_stream(self) -> None:
        """Count a stream that was closed because of its frames."""
        self._metrics.rejected.labels("frames").inc()

    @contextmanager
    def _client(self, client: str) -> Iterator[None]:
        """Count a request or stream of a client while the block runs."""
        if self._max_per_client and self._open[client] >= self._max_per_client:
            raise self._refused(
                "client",
                f"this client has {self._max_per_client} requests and streams open, the maximum "
                "(FER_MAX_PER_CLIENT)",
            )
        self._open[client] += 1
        try:
            yield
        finally:
            subtract(self._open, client)

    def has_place(self, client: str) -> bool:
        """Return True if `place` would not raise."""
        free = self._in_progress.total() < self._max_requests
        return free and self._in_progress[client] < one_clients(self._max_requests)

    def _check_place(self, client: str) -> None:
        if self._in_progress.total() >= self._max_requests:
            raise self._refused("requests", "too many requests in flight; retry after a moment")
        if self._in_progress[client] >= one_clients(self._max_requests):
            raise self._refused(
                "client",
                f"this client has {self._in_progress[client]} requests in progress, the maximum per client; "
                "retry later",
            )

    def _refused(self, reason: str, text: str) -> Overloaded:
        self._metrics.rejected.labels(reason).inc()
        return Overloaded(text)


class StreamFrames:
    """Bounds the frames of one stream or video: their bytes, and the places of those that are analyzed."""

    def __init__(self, admission: Admission, hold: Hold) -> None:
        """Start without frames.

        Args:
            admission: Has the places.
            hold: The bytes of all frames.
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
    async def place_in_time(self, job: Job) -> AsyncIterator[None]:
        """Wait for a place, also while all are taken, and hold it while the block runs.

        Args:
            job: At its deadline the place is not wanted any more.

        Raises:
            DeadlineExceeded: the deadline passed.
        """
        async with self._admission.frame_places.place(self._hold.client):
            while not self._admission.has_place(self._hold.client):
                job.check_deadline("a free place")
                await asyncio.sleep(_PAUSE)
            with self._admission.place(self._hold.client):
                yield

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place among those of streams, and hold it while the block runs.

        Raises:
            Overloaded: a limit is reached.
        """
        async with self._admission.frame_places.place(self._hold.client):
            with self._admission.place(self._hold.client):
                yield
