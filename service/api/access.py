"""Who may come in: API keys from a file, and which pages of others may open streams."""

import base64
import hashlib
import hmac
import logging
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.errors import error_response
from service.errors import Forbidden, RequestError, SettingsError, Unauthorized

API_KEY: Final = "X-API-Key"
KEY_PROTOCOL: Final = "fer.key."  # before the key in base64url, as one of the subprotocols that a stream offers
CLIENT: Final = "fer.client"  # in the scope: who asks, as far as limits are concerned
REFUSED_ROUTE: Final = "fer.refused_route"  # in the scope of a request that was refused before it was routed
_SHORTEST: Final = 16
_LOOK_EVERY_SECONDS: Final = 1.0
logger = logging.getLogger(__name__)


class Keys:
    """The API keys of a file; a changed file counts within a second, so that keys rotate without a restart."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file.

        Args:
            path: One key a line; `#` begins a comment.
            clock: Seconds, for how often the file is looked at.

        Raises:
            SettingsError: the file cannot be read, holds no key, or one that is too short.
        """
        self._path = path
        self._clock = clock
        self._looked = clock()
        self._stamp = _stamp(path)
        self._digests = _read(path)

    def holder(self, presented: str) -> str | None:
        """Who holds this key: a name made from its digest; None where it is none of the file's."""
        self._look()
        digest = _digest(presented)
        found = None
        # Every key is compared, and whole, so that the time an answer takes says nothing about any of them.
        for known in self._digests:
            if hmac.compare_digest(known, digest):
                found = known
        return None if found is None else found.hex()[:12]

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked < _LOOK_EVERY_SECONDS:
            return
        self._looked = now
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._digests = _read(self._path)
        except SettingsError as error:
            logger.error("%s; the keys stay as they were", error)
            return
        logger.info("%d API keys read anew", len(self._digests))


class Guard:
    """Lets in who has a key, says in the scope who asks, and refuses streams that a foreign page opens."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Keys | None,
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


def _read(path: Path) -> list[bytes]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SettingsError(f"FER_API_KEYS_FILE={path}: it cannot be read: {reason}") from error
    keys = {}
    for number, line in enumerate(lines, 1):
        key = line.partition("#")[0].strip()
        if key and (len(key) < _SHORTEST or not key.isascii() or len(key.split()) > 1):
            raise SettingsError(
                f"FER_API_KEYS_FILE={path}: line {number} is no key; a key is one word of {_SHORTEST} or more "
                "ASCII characters without '#'"
            )
        if key:
            keys[key] = _digest(key)
    if not keys:
        raise SettingsError(f"FER_API_KEYS_FILE={path}: it holds no key; write one a line, or unset the variable")
    return list(keys.values())


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes when the file does; mounted secrets are exchanged by a link, which the inode tells."""
    try:
        status = os.stat(path)  # noqa: PTH116 (a path is given, no more)
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
