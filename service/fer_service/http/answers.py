"""Answers of many bytes: their memory is booked until they are sent."""

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fer_service.http.ledger import Ledger

_SLICE: Final = 64 * 2**10


class Answer(Response):
    """A response that is sent in slices, so that the server waits for its client to read.

    Only the bytes of larger answers are booked. When others need them, the answer is dropped: its connection is
    closed in the middle.
    """

    def __init__(
        self, content: str | bytes, media_type: str, headers: Mapping[str, str], ledger: Ledger, client: str
    ) -> None:
        """Prepare.

        Args:
            content: The body.
            media_type: Its type.
            headers: Further headers.
            ledger: Books the bytes.
            client: The client that gets them.
        """
        super().__init__(content, headers=headers, media_type=media_type)
        self._ledger = ledger
        self._client = client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it.

        Raises:
            Overloaded: its bytes do not fit; nothing was sent.
        """
        size = len(self.body)
        if size <= _SLICE:
            await super().__call__(scope, receive, send)
            return
        with self._ledger.hold(self._client, self._drop, answer=True) as hold:
            self._ledger.grow(hold, size)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for start in range(0, size, _SLICE):
                if hold.preempted:
                    return
                # A copy: the server may keep it, and the whole must go when it is dropped.
                piece = bytes(self.body[start : start + _SLICE])
                more = start + _SLICE < size
                await send({"type": "http.response.body", "body": piece, "more_body": more})
                self._ledger.move(hold, len(piece))

    def _drop(self) -> None:
        self.body = b""
