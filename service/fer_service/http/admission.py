"""How much is worked on at a time: images and their bytes, over all requests and streams."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from fer_service.contract.errors import Overloaded
from fer_service.observability.metrics import Metrics


class Admission:
    """Lets so many images and bytes in at a time; what is more is refused before it costs anything."""

    def __init__(
        self, metrics: Metrics, *, max_requests: int, max_bytes: int, max_per_client: int | None = None
    ) -> None:
        """Start empty.

        Args:
            metrics: Told what is inside and of every refusal.
            max_requests: Requests and frames of streams at a time.
            max_bytes: Sum of their bytes; one alone may always come in.
            max_per_client: Requests and streams of one client at a time.
        """
        self._metrics = metrics
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._max_per_client = max_per_client
        self._requests = 0
        self._bytes = 0
        self._clients: Counter[str] = Counter()

    @contextmanager
    def client(self, name: str) -> Iterator[None]:
        """A request or stream of a client, from its beginning to its end.

        Args:
            name: Who it is: a key's holder, or an address.

        Raises:
            Overloaded: the client has as many open as it may have.
        """
        if self._max_per_client and self._clients[name] >= self._max_per_client:
            self._metrics.rejected.labels("client").inc()
            raise Overloaded(
                f"this client has {self._max_per_client} requests or streams open, which is all it may have"
            )
        self._clients[name] += 1
        try:
            yield
        finally:
            self._clients[name] -= 1
            if not self._clients[name]:
                del self._clients[name]

    def enter(self, size: int) -> None:
        """Take a request or frame in; `leave` has to follow.

        Args:
            size: Its bytes.

        Raises:
            Overloaded: too much is in flight.
        """
        reason = self._full(size)
        if reason:
            self._metrics.rejected.labels(reason).inc()
            raise Overloaded("too much is in flight; try again in a moment")
        self._count(1, size)

    def leave(self, size: int) -> None:
        """Let it out again, with the same size."""
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
