"""Bounds on the images and bytes in flight, over all requests and streams."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from fer_service.contract.errors import Overloaded
from fer_service.observability.metrics import Metrics


class Admission:
    """Admits work up to its limits and refuses the rest before it costs anything."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        max_requests: int,
        max_bytes: int,
        max_streams: int,
        max_per_client: int | None = None,
    ) -> None:
        """Start empty.

        Args:
            metrics: Counts what is in flight and each refusal.
            max_requests: Maximum requests and stream frames in flight.
            max_bytes: Maximum sum of their bytes; a single one is always admitted.
            max_streams: Maximum open streams.
            max_per_client: Maximum requests and streams in flight per client.
        """
        self._metrics = metrics
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._max_streams = max_streams
        self._max_per_client = max_per_client
        self._requests = 0
        self._bytes = 0
        self._streams = 0
        self._clients: Counter[str] = Counter()

    @contextmanager
    def request(self, client: str, size: int) -> Iterator[None]:
        """Admit a request while the block runs.

        Args:
            client: The holder of an API key, or an address.
            size: Bytes of the body.

        Raises:
            Overloaded: a limit is reached.
        """
        self.enter(size)
        try:
            with self.client(client):
                yield
        finally:
            self.leave(size)

    @contextmanager
    def stream(self, client: str) -> Iterator[None]:
        """Admit a stream while the block runs; its frames are admitted one by one.

        Args:
            client: The holder of an API key, or an address.

        Raises:
            Overloaded: a limit is reached.
        """
        if self._streams >= self._max_streams:
            self._metrics.rejected.labels("streams").inc()
            raise Overloaded(f"{self._max_streams} streams are open, the maximum (FER_MAX_STREAMS)")
        self._count_streams(1)
        try:
            with self.client(client):
                yield
        finally:
            self._count_streams(-1)

    @contextmanager
    def client(self, name: str) -> Iterator[None]:
        """Count a request or stream of a client while the block runs.

        Raises:
            Overloaded: the client has reached its limit.
        """
        if self._max_per_client and self._clients[name] >= self._max_per_client:
            self._metrics.rejected.labels("client").inc()
            raise Overloaded(f"this client has {self._max_per_client} requests or streams open, its maximum")
        self._clients[name] += 1
        try:
            yield
        finally:
            self._clients[name] -= 1
            if not self._clients[name]:
                del self._clients[name]

    def enter(self, size: int) -> None:
        """Admit a request or frame; `leave` must follow.

        Args:
            size: Its bytes.

        Raises:
            Overloaded: a limit is reached.
        """
        reason = self._full(size)
        if reason:
            self._metrics.rejected.labels(reason).inc()
            raise Overloaded("too many requests in flight; retry after a moment")
        self._count(1, size)

    def leave(self, size: int) -> None:
        """Release what `enter` admitted with the same size."""
        self._count(-1, -size)

    def _full(self, size: int) -> str:
        if self._requests >= self._max_requests:
            return "requests"
        if self._requests and self._bytes + size > self._max_bytes:
            return "bytes"
        return ""

    def _count(self, requests: int, size: int) -> None:
        self._requests += requests
        self._bytes += size
        self._metrics.in_flight.set(self._requests)

    def _count_streams(self, change: int) -> None:
        self._streams += change
        self._metrics.streams.set(self._streams)
