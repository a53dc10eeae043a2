"""The configuration that all connections of a server share."""

from collections.abc import Iterable, Sequence
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from fer_service.http.connections.cap import ConnectionCap
from fer_service.http.connections.limits import ConnectionLimits, HandshakeRates
from fer_service.http.connections.turns import Turns
from fer_service.http.hosts import FORWARDED_FOR, TrustedProxies, client_of, entries_of
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
        handshakes: Bounds the rate at which a client opens streams.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: ConnectionLimits,
        ledger: Ledger,
        metrics: Metrics,
        proxies: Sequence[str] = (),
        **options: Any,
    ) -> None:
        """Configure a server.

        Args:
            app: The application.
            limits: Limits of each connection.
            ledger: Books the bytes of stream messages that are not complete yet.
            metrics: Counts the requests that are refused before the application sees them.
            proxies: Addresses and networks of the trusted reverse proxies.
            options: Options of uvicorn.Config.
        """
        super().__init__(app, **options)
        self.limits = limits
        self.ledger = ledger
        self.metrics = metrics
        self.cap = ConnectionCap(limits.connections)
        self.turns = Turns()
        self.handshakes = HandshakeRates(limits)
        self._proxies = TrustedProxies(proxies)

    def client_of(self, address: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Return who sends a request: by its address, or by that which trusted proxies forward.

        Args:
            address: Address of the connection; may be empty.
            headers: Headers of the request, with names in lower case.
        """
        return client_of(self._proxies.client_address(address, entries_of(headers, FORWARDED_FOR)))
