"""Addresses, schemes and hosts that trusted reverse proxies forward."""

from collections.abc import Sequence
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from fer_service.http.hosts import FORWARDED_FOR, MAPPED

_FORWARDED_HOST: Final = b"x-forwarded-host"
_OF_PAGES: Final = (_FORWARDED_HOST, b"x-forwarded-port", b"x-forwarded-proto")  # see `check_origin`


class TrustedProxiesMiddleware:
    """Takes address, scheme and host of the client from the headers of trusted proxies.

    X-Forwarded-For and X-Forwarded-Proto become the scope's `client` and `scheme`, by uvicorn's rules. Of
    X-Forwarded-Host, the host that the outermost trusted proxy saw becomes the Host. Anybody else's headers change
    nothing; if proxies are named, anybody else's are removed (see `check_origin`).
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
        address = address.removeprefix(MAPPED)
        scope["client"] = (address, port)
        trusted = address in self._forwarded.trusted_hosts
        hosts = _entries(scope, _FORWARDED_HOST)
        if trusted and hosts:
            host = hosts[-min(self._trusted_hops(scope), len(hosts))]
            scope["headers"] = [header for header in scope["headers"] if header[0] != b"host"] + [(b"host", host)]
        elif self._proxies and not trusted:
            scope["headers"] = [header for header in scope["headers"] if header[0] not in _OF_PAGES]
        await (self._forwarded if trusted else self._app)(scope, receive, send)  # type: ignore[arg-type]

    def _trusted_hops(self, scope: Scope) -> int:
        """Return how many trusted proxies the request passed, by the end of X-Forwarded-For."""
        hops = 1
        for address in reversed(_entries(scope, FORWARDED_FOR)):
            if address.decode("latin-1") not in self._forwarded.trusted_hosts:
                break
            hops += 1
        return hops


def _entries(scope: Scope, wanted: bytes) -> list[bytes]:
    """Return the entries of a header that each proxy may extend."""
    values = [value for name, value in scope["headers"] if name == wanted]
    return [entry.strip() for value in values for entry in value.split(b",") if entry.strip()]
