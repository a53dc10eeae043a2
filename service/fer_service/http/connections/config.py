"""The configuration that all connections of a server share."""

from typing import Any

import uvicorn
from starlette.types import ASGIApp

from fer_service.http.connections.cap import ConnectionCap
from fer_service.http.connections.limits import ConnectionLimits, HandshakeRates
from fer_service.http.connections.turns import Turns
from fer_service.http.ledger import Ledger
from fer_service.observability.metrics import Metrics


class ConnectionConfig(uvicorn.Config):
    """uvicorn's configuration, and the limits of connections.

    Attributes:
        limits: Limits of each connection.
        ledger: Books the bytes of stream messages that are not complete yet.
        metrics: Counts the requests that are refused before the application sees them.
        cap: Bounds the connections.
        turns: Shares the event loop among them.
        handshakes: Bounds the rate at which an address opens streams.
    """

    def __init__(
        self, app: ASGIApp, limits: ConnectionLimits, ledger: Ledger, metrics: Metrics, **options: Any
    ) -> None:
        """Configure a server.

        Args:
            app: The application.
            limits: Limits of each connection.
            ledger: Books the bytes of stream messages that are not complete yet.
            metrics: Counts the requests that are refused before the application sees them.
            options: Options of uvicorn.Config.
        """
        super().__init__(app, **options)
        self.limits = limits
        self.ledger = ledger
        self.metrics = metrics
        self.cap = ConnectionCap(limits.connections)
        self.turns = Turns()
        self.handshakes = HandshakeRates(limits)
