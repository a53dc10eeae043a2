"""What every connection of a server shares."""

from typing import Any, Protocol

import uvicorn
from starlette.types import ASGIApp

from fer_service.http.connections.cap import ConnectionCap
from fer_service.http.connections.limits import ConnectionLimits


class MessageBytes(Protocol):
    """Bounds the bytes of the stream messages that are not complete yet, over all streams."""

    def change(self, size: int) -> bool:
        """Count bytes more, or fewer if negative; False if there are too many now."""


class UnfinishedMessages:
    """A bound of its own for those bytes.

    Attributes:
        bytes: Bytes of unfinished messages now.
    """

    def __init__(self, max_bytes: int) -> None:
        """Start empty.

        Args:
            max_bytes: Maximum sum of the bytes.
        """
        self._max_bytes = max_bytes
        self.bytes = 0

    def change(self, size: int) -> bool:
        """Count bytes (see `MessageBytes`)."""
        self.bytes += size
        return self.bytes <= self._max_bytes


class ConnectionConfig(uvicorn.Config):
    """uvicorn's configuration, and the limits of connections.

    Attributes:
        limits: Limits of each connection.
        messages: Bounds the bytes of unfinished stream messages.
        cap: Bounds the connections.
    """

    def __init__(self, app: ASGIApp, limits: ConnectionLimits, messages: MessageBytes, **options: Any) -> None:
        """Configure a server.

        Args:
            app: The application.
            limits: Limits of each connection.
            messages: Bounds the bytes of unfinished stream messages.
            options: Options of uvicorn.Config.
        """
        super().__init__(app, **options)
        self.limits = limits
        self.messages = messages
        self.cap = ConnectionCap(limits.connections)
