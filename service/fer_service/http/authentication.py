"""API keys of requests and streams, and the origins of pages that open streams."""

import base64
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from fer_service.contract.errors import Forbidden, Unauthorized
from fer_service.http.api_keys import ApiKeys
from fer_service.http.hosts import client_of, entries_of, is_same_origin

API_KEY: Final = "X-API-Key"
KEY_PROTOCOL: Final = "fer.key."  # before the key in base64url, among the subprotocols that a stream offers


def authenticate(connection: HTTPConnection, keys: ApiKeys | None) -> str:
    """Return the client that sends a request: the holder of its API key, or its address without authentication.

    An IPv6 address stands for its network (see `client_of`).

    Args:
        connection: A request or stream.
        keys: The valid keys; None disables authentication.

    Raises:
        Unauthorized: the key is missing or invalid.
    """
    if keys is None:
        return client_of(connection.client.host) if connection.client else ""
    key = _key_in_headers(connection.headers) or _key_in_subprotocols(connection)
    if not key:
        raise Unauthorized(f"missing API key; send it as {API_KEY} or as Authorization: Bearer")
    holder = keys.holder(key)
    if holder is None:
        raise Unauthorized("invalid or revoked API key")
    return holder


def check_origin(headers: Headers, allowed: Collection[str], *, trusted: bool = False) -> None:
    """Refuse streams that a foreign web page opens.

    A browser lets any page open a WebSocket to any address and names the page's origin (RFC 6455, section 10.2).

    Args:
        headers: Headers of the handshake.
        allowed: Origins of other pages that may open streams; `*` allows all.
        trusted: The X-Forwarded- headers come from trusted proxies, so that scheme and port count too.

    Raises:
        Forbidden: the origin is neither the service's own nor allowed.
    """
    origin = headers.get("origin")
    if origin is None or origin in allowed or "*" in allowed:
        return
    # Without trusted proxies, anybody's X-Forwarded-Host counts here: a proxy may replace Host, and a page can set
    # neither. So each host of a list may be the page's.
    hosts = headers.getlist("host") + _listed(headers, b"x-forwarded-host")
    schemes = [scheme.lower().replace("ws", "http") for scheme in _listed(headers, b"x-forwarded-proto")]
    ports = _listed(headers, b"x-forwarded-port")
    if not (is_same_origin(origin, hosts, schemes, ports) if trusted else is_same_origin(origin, hosts)):
        raise Forbidden(f"pages of {origin} may not open streams; allow the origin with FER_CORS_ORIGINS")


def _listed(headers: Headers, name: bytes) -> list[str]:
    return [entry.decode("latin-1") for entry in entries_of(headers.raw, name)]


def _key_in_headers(headers: Headers) -> str:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials.strip()
    return headers.get(API_KEY, "")


def _key_in_subprotocols(connection: HTTPConnection) -> str:
    """Return the key that a stream offers as a subprotocol.

    The only WebSocket header that a page can set is Sec-WebSocket-Protocol. Its entries are tokens (RFC 6455,
    section 4.1), and not every key is one, so the key comes in base64url without padding (RFC 4648, section 5).
    """
    for protocol in connection.scope.get("subprotocols", ()):
        if protocol.startswith(KEY_PROTOCOL):
            encoded = protocol.removeprefix(KEY_PROTOCOL)
            try:
                padded = encoded + "=" * (-len(encoded) % 4)
                return base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
            except ValueError:
                raise Unauthorized(f"the key after {KEY_PROTOCOL} is not base64url without padding") from None
    return ""
