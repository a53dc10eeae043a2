"""`Connection: close` on the answers of a draining process."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fer_service.http.lifecycle import Lifecycle, Phase


class DrainMiddleware:
    """Tells clients of a draining process to open their next connection elsewhere."""

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle) -> None:
        """Wrap an app.

        Args:
            app: The app.
            lifecycle: Phase of the process.
        """
        self._app = app
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or stream."""

        async def send_close(message: Message) -> None:
            if message["type"] == "http.response.start" and self._lifecycle.phase is Phase.DRAINING:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, receive, send_close if scope["type"] == "http" else send)
