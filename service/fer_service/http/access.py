"""Who may come in: holders of an API key, and streams of pages that may open them."""

import base64
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from fer_service.contract.errors import Forbidden, RequestError, Unauthorized
from fer_service.http.api_keys import ApiKeys
from fer_service.http.problems import error_response

API_KEY: Final = "X-API-Key"
KEY_PROTOCOL: Final = "fer.key."  # before the key in base64url, as one of the subprotocols that a stream offers
CLIENT: Final = "fer.client"  # in the scope: who asks, as far as limits are concerned
REFUSED_ROUTE: Final = "fer.refused_route"  # in the scope of a request that was refused before it was routed


class AuthMiddleware:
    """Lets in who has a key, says in the scope who asks, and refuses streams that a foreign page opens."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: ApiKeys | None,
        open_paths: Collection[str],
        open_folders: tuple[str, ...],
        routes: Collection[str],
        origins: Collection[str],
    ) -> None:
        """Wrap an app.

        Args:
            app: What answers.
            keys: Without them everybody is let in.
            open_paths: Paths that need no key.
            open_folders: Beginnings of paths that need no key.
            routes: Paths that are counted under their own name when they are refused.
            origins: Origins of other pages that may open streams; `*` is any.
        """
        self._app = app
        self._keys = keys
        self._open_paths = frozenset(open_paths)
        self._open_folders = open_folders
        self._routes = frozenset(routes)
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            if scope["type"] == "websocket":
                self._check_origin(headers)
            scope[CLIENT] = self._client(scope, headers)
        except RequestError as error:
            scope[REFUSED_ROUTE] = scope["path"] if scope["path"] in self._routes else "unmatched"
            await error_response(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _client(self, scope: Scope, headers: Headers) -> str:
        path = scope["path"]
        if self._keys is not None and path not in self._open_paths and not path.startswith(self._open_folders):
            presented = _presented(headers) or _offered(scope)
            if not presented:
                raise Unauthorized(f"send an API key, as {API_KEY} or as Authorization: Bearer")
            holder = self._keys.holder(presented)
            if holder is None:
                raise Unauthorized("this API key is not known, or not any more")
            return holder
        address = scope.get("client")
        return str(address[0]) if address else ""

    def _check_origin(self, headers: Headers) -> None:
        """Browsers let any page open a stream to any address and tell where it comes from (RFC 6455, 10.2)."""
        origin = headers.get("origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return
        # A proxy may put another Host in place and tell the client's; no page can set either.
        if urlsplit(origin).netloc not in (headers.get("host"), headers.get("x-forwarded-host")):
            raise Forbidden(f"pages of {origin} may not open streams here; FER_CORS_ORIGINS names those that may")


def _presented(headers: Headers) -> str:
    """The request's key; empty where it has none."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials.strip()
    return headers.get(API_KEY, "")


def _offered(scope: Scope) -> str:
    """The key among a stream's subprotocols; empty where it offers none.

    Browsers let a page set no header of a WebSocket but Sec-WebSocket-Protocol, whose entries are tokens
    (RFC 6455, 4.1), which not every key is; so it comes in base64url without padding (RFC 4648, 5).
    """
    for protocol in scope.get("subprotocols", ()):
        if protocol.startswith(KEY_PROTOCOL):
            encoded = protocol.removeprefix(KEY_PROTOCOL)
            try:
                padded = encoded + "=" * (-len(encoded) % 4)
                return base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
            except ValueError:
                raise Unauthorized(f"the key after {KEY_PROTOCOL} is not base64url without padding") from None
    return ""
