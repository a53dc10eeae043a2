"""A bound on the open connections: idle ones make room for new ones."""

import logging
import time
from collections.abc import Collection
from typing import Final, Protocol

from uvicorn.server import ServerState

from fer_service.http.connections.sending import Sending

_SHARE: Final = 16  # this part of the connections is closed at once, so that a flood does not cost a search each
_LOG_SECONDS: Final = 60.0
logger = logging.getLogger(__name__)


class Connection(Protocol):
    """A connection of a server, as uvicorn counts it.

    Attributes:
        sending: What waits for the client.
    """

    sending: Sending

    def check(self, seconds: float) -> None:
        """Close the connection if its client is too slow; called once per tick.

        Args:
            seconds: Time since the last check.
        """

    def idle_since(self) -> float | None:
        """Return since when the client has sent no complete request, by the loop's clock; None if it has sent one.

        0 if its last request is answered: nothing is lost if the connection is closed.
        """

    def abort(self) -> None:
        """Close the connection at once; what was not sent is lost."""


def connections_of(state: ServerState) -> Collection[Connection]:
    """Return the open connections of a server whose protocols are those of this package."""
    return [*state.connections]  # type: ignore[list-item]


class ConnectionCap:
    """Keeps the number of connections below the limit, for a limit of files or of memory."""

    def __init__(self, limit: int) -> None:
        """Start.

        Args:
            limit: Maximum connections.
        """
        self._limit = limit
        self._logged = -_LOG_SECONDS

    def admit(self, connection: Connection, state: ServerState) -> None:
        """Make room for a new connection, or close it if every other one is at work."""
        if len(state.connections) <= self._limit:
            return
        now = time.monotonic()
        if now - self._logged >= _LOG_SECONDS:
            self._logged = now
            logger.warning(
                "%d connections are open, the maximum: idle ones are closed for new ones; "
                "raise the limit of open files (ulimit -n), or put a reverse proxy in front",
                self._limit,
            )
        since = {other: other.idle_since() for other in connections_of(state) if other is not connection}
        idle = sorted((seconds, id(other), other) for other, seconds in since.items() if seconds is not None)
        if not idle:
            connection.abort()
        for _, _, other in idle[: max(1, self._limit // _SHARE)]:
            other.abort()
