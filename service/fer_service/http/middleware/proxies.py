"""Addresses, schemes and hosts that trusted reverse proxies forward."""

from collections.abc import Sequence
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_FORWARDED_HOST: Final = b"x-forwarded-host"
_MAPPED: Final = "::ffff:"  # before the IPv4 address of a client on an IPv6 socket (RFC 4291, section 2.5.5.2)


class TrustedProxiesMiddleware:
    """Takes address, scheme and host of the client from the headers of trusted proxies.

    X-Forwarded-For and X-Forwarded-Proto become the scope's `client` and `scheme`, by uvicorn's rules. The last
    host of X-Forwarded-Host, the one that the nearest proxy saw, becomes the Host. Anybody else's headers change
    nothing; if proxies are named, anybody else's X-Forwarded-Host is removed (see `check_origin`).
    """

    def __init__(self, app: ASGIApp, proxies: Sequence[str]) -> None:
        """Wrap an app.

        Args:
            app: The app.
            proxies: Addresses and networks of the trusted proxies.
        """
        self._app = app
        self._proxies = proxies
        self._forwarded = ProxyHeadersMiddleware(app, list(proxies))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or stream."""
        if scope["type"] not in {"http", "websocket"} or not scope.get("client"):
            await self._app(scope, receive, send)
            return
        address, port = scope["client"]
        address = address.removeprefix(_MAPPED)
        scope["client"] = (address, port)
        hosts = [value for name, value in scope["headers"] if name == _FORWARDED_HOST]
        trusted = address in self._forwarded.trusted_hosts
        if hosts and self._proxies:
            dropped = {_FORWARDED_HOST, b"host"} if trusted else {_FORWARDED_HOST}
            scope["headers"] = [header for header in scope["headers"] if header[0] not in dropped]
            if trusted:
                scope["headers"].append((b"host", hosts[-1].rpartition(b",")[2].strip()))
        await (self._forwarded if trusted else self._app)(scope, receive, send)  # type: ignore[arg-type]
