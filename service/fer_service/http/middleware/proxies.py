"""Addresses, schemes and hosts that trusted reverse proxies forward."""

from collections.abc import Sequence
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from fer_service.http.hosts import FORWARDED_FOR, TrustedProxies, entries_of

_FORWARDED_HOST: Final = b"x-forwarded-host"
_FORWARDED_PROTO: Final = b"x-forwarded-proto"
_OF_PAGES: Final = (_FORWARDED_HOST, b"x-forwarded-port", _FORWARDED_PROTO)  # see `check_origin`
_SCHEMES: Final = (b"http", b"https", b"ws", b"wss")


class TrustedProxiesMiddleware:
    """Takes address, scheme and host of the client from the headers of trusted proxies.

    X-Forwarded-For gives the scope's `client`. The scheme and the Host are those of X-Forwarded-Proto and -Host
    that the outermost trusted proxy saw. Anybody else's headers change nothing; if proxies are named, anybody
    else's are removed (see `check_origin`).
    """

    def __init__(self, app: ASGIApp, proxies: Sequence[str]) -> None:
        """Wrap an app.

        Args:
            app: The app.
            proxies: Addresses and networks of the trusted proxies.
        """
        self._app = app
        self._any = bool(proxies)
        self._proxies = TrustedProxies(proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or stream."""
        if scope["type"] in {"http", "websocket"} and scope.get("client"):
            self._believe(scope)
        await self._app(scope, receive, send)

    def _believe(self, scope: Scope) -> None:
        headers, (address, port) = scope["headers"], scope["client"]
        address = self._proxies.client_address(address, ())
        forwarded = entries_of(headers, FORWARDED_FOR)
        scope["client"] = (self._proxies.client_address(address, forwarded), port)
        if address in self._proxies:
            hops = self._proxies.hops(forwarded)
            if hosts := entries_of(headers, _FORWARDED_HOST):
                host = hosts[-min(hops, len(hosts))]
                scope["headers"] = [header for header in headers if header[0] != b"host"] + [(b"host", host)]
            schemes = entries_of(headers, _FORWARDED_PROTO)
            if schemes and (seen := schemes[-min(hops, len(schemes))].lower()) in _SCHEMES:
                scheme = seen.decode()
                scope["scheme"] = scheme.replace("http", "ws") if scope["type"] == "websocket" else scheme
        elif self._any:
            scope["headers"] = [header for header in headers if header[0] not in _OF_PAGES]
