"""The path below which a reverse proxy publishes the service."""

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class RootPathMiddleware:
    """Removes the prefix from paths, so that everything behind it sees those of a service at the root.

    A proxy may also remove the prefix itself. The prefix alone is redirected to the page, whose addresses are
    relative to its last slash.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        """Wrap an app.

        Args:
            app: The app.
            root_path: The prefix, such as /fer.
        """
        self._app = app
        self._root = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or stream."""
        if scope["type"] == "http" and scope["path"] == self._root:
            query = scope["query_string"].decode("latin-1")
            await RedirectResponse(f"{self._root}/" + (f"?{query}" if query else ""), 308)(scope, receive, send)
            return
        if scope["type"] in {"http", "websocket"} and scope["path"].startswith(f"{self._root}/"):
            scope["path"] = scope["path"].removeprefix(self._root)
        await self._app(scope, receive, send)
