"""404 for paths that routing would read in a second way."""

import re
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from fer_service.http.problems import no_route

# Starlette's patterns end in `$`, which also matches before a final line break.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_ENCODED_SEPARATORS: Final = (b"%2f", b"%5c")


class PathMiddleware:
    """Answers paths with control characters or encoded slashes as unknown, for requests and streams.

    A proxy that looks at the path as it was sent would take `/predict%2Fbatch` or `/predict%0A` for other routes
    than the service does.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or stream."""
        if scope["type"] in {"http", "websocket"} and _ambiguous(scope):
            await no_route(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _ambiguous(scope: Scope) -> bool:
    raw: bytes = scope.get("raw_path") or b""
    encoded = b"%" in raw and any(separator in raw.lower() for separator in _ENCODED_SEPARATORS)
    return encoded or _CONTROL.search(scope["path"]) is not None
