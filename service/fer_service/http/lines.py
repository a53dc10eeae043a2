"""Answers of JSON lines that are sent while the work goes on."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from fer_service.http.time_limit import cancel_on_disconnect

MEDIA_TYPE: Final = "application/x-ndjson"
# nginx passes on each line at once; a cache would keep what is private.
HEADERS: Final = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}


class Lines(JSONResponse):  # so OpenAPI describes the lines
    """A response of JSON lines. Until the first one is there, an error gets a response of its own.

    The next line is asked for when the client has taken the last one. If the client disconnects, the work is
    cancelled.
    """

    media_type = MEDIA_TYPE

    def __init__(self, request: Request, lines: AsyncGenerator[str, None]) -> None:
        """Prepare.

        Args:
            request: The request; its body is read before the first line.
            lines: JSON texts without line breaks, at least one.
        """
        super().__init__(None, headers=HEADERS)
        del self.headers["content-length"]
        self._request = request
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it.

        Raises:
            RequestError: the request was refused; nothing was sent.
            ClientDisconnect: the client disconnected before the first line.
        """
        async with aclosing(self._lines) as lines:
            first = await anext(lines)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            with suppress(ClientDisconnect):  # no other answer is possible, and nobody is there to read it
                await cancel_on_disconnect(self._request, _send_all(first, lines, send))


async def _send_all(first: str, lines: AsyncIterator[str], send: Send) -> None:
    line: str | None = first
    while line is not None:
        await send({"type": "http.response.body", "body": f"{line}\n".encode(), "more_body": True})
        line = await anext(lines, None)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
