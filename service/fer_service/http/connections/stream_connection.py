"""A connection of a stream: uvicorn's WebSocket protocol with limits on frames, messages and unread results."""

import asyncio
import logging
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import DATA_OPCODES, CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from fer_service.contract.errors import Draining, InvalidRequest, Overloaded, Preempted
from fer_service.http.connections.config import ConnectionConfig
from fer_service.http.connections.limits import SMALL_FRAME, Pace, Rate
from fer_service.http.connections.refusals import refusal
from fer_service.http.connections.sending import Sending
from fer_service.http.connections.transport import Wire
from fer_service.http.ledger import Hold
from fer_service.http.problems import problem_of
from fer_service.observability.metrics import UNMATCHED

logger = logging.getLogger(__name__)


class StreamConnection(WebSocketsSansIOProtocol):
    """A stream that ends when its client asks for too much work, or does not read.

    websockets limits the bytes of a message. It does not limit the number of frames, the number of fragments, the
    time that a message takes, or the bytes of the unfinished messages of all streams together.

    Attributes:
        sending: What waits for the client.
    """

    config: ConnectionConfig

    def __init__(
        self,
        config: ConnectionConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Create the protocol of a new stream (called by uvicorn)."""
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits = config.limits
        self._fragments = Rate(limits.fragments_per_second)
        self._small_frames = Rate(limits.small_frames_per_second)
        self._arriving = Pace(limits.upload_grace, limits.bytes_per_second)
        self._received = 0  # bytes since the last check
        self._message_seconds = 0.0  # since the message in progress began
        self._held = 0  # bytes of the message in progress
        self._message: Hold | None = None  # the same in the ledger
        self._owner: str | None = None  # who sends the messages, as soon as there is one
        self._refused = False  # the server has stopped before the handshake was answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection of a handshake over (called by `RequestConnection`)."""
        self._wire = cast(Wire, transport)
        self._wire.owner = self
        self.sending = Sending(self._wire, self._limits)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._hold(0)
        # This object is part of a reference cycle: it lives until the next full garbage collection.
        self.frames = []
        self.conn.reader.buffer.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle the head of the handshake, or what the event loop received."""
        if self.handshake_initiated:
            self._wire.receive(data)
            return
        # No frame is handled before the handshake is answered.
        self._wire.pause_reading()
        super().data_received(data)
        if not self.handshake_initiated:  # websockets does not take it for a handshake
            self._refuse(self.conn.parser_exc)

    def handle_connect(self, event: Request) -> None:
        """Refuse an invalid handshake, or pass it on (called by uvicorn)."""
        self.handshake_initiated = True
        if self.conn.accept(event).status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            super().handle_connect(event)
        else:
            self._refuse(self.conn.handshake_exc)

    def start_keepalive(self) -> None:
        """Begin to read frames; the handshake has been answered."""
        super().start_keepalive()
        self._wire.resume_reading()

    def take(self, piece: bytes | memoryview) -> None:
        """Parse received bytes."""
        if self.close_sent and self.conn.eof_sent:
            return
        self._received += len(piece)
        self.conn.receive_data(bytes(piece))
        excess = self._excess(cast(list[Frame], self.conn.events))
        if self.conn.parser_exc is not None:
            self.handle_parser_exception()
            return
        if excess:
            self.conn.events_received()  # dropped
            self._fail(CloseCode.POLICY_VIOLATION, excess)
            return
        self.handle_events()
        if not self._hold((self.conn.current_size or 0) + len(self.conn.reader.buffer)):
            self._fail(CloseCode.TRY_AGAIN_LATER, "not enough memory for the message")
        elif len(self.frames) > self._limits.fragments_per_message:
            self._fail(CloseCode.POLICY_VIOLATION, "too many fragments in a message")

    def piece_bytes(self) -> int:
        """Return how many bytes can be parsed in little time; frames may be tiny."""
        return 0

    def unread_bytes(self) -> int:
        """Return how much to discard of an open stream whose client has not closed it."""
        waits = self.conn.state is not State.CONNECTING and self.conn.close_rcvd is None
        return self._limits.linger_head_bytes if waits else 0

    def check(self, seconds: float) -> None:
        """End the stream if its client is too slow (see `Connection`)."""
        if self.sending.waits(seconds) or self.transport.is_closing():
            return
        size, self._received = self._received, 0
        if not self._held or not self._wire.receiving:
            return
        self._message_seconds += seconds
        if self._arriving.too_slow(seconds, size) or self._message_seconds > self._limits.message_seconds:
            self._fail(CloseCode.POLICY_VIOLATION, "the message arrives too slowly")

    def idle_since(self) -> float | None:
        """Return None: an open stream is at work (see `Connection`)."""
        return None

    def abort(self) -> None:
        """Close the connection at once."""
        self._wire.abort()

    def shutdown(self) -> None:
        """Close the stream because the server stops (called by uvicorn), or refuse its handshake."""
        if self.transport.is_closing():
            return
        if self.handshake_complete or self.initial_response:
            super().shutdown()
            return
        # uvicorn answers 500 here, as for a defect.
        self._refused = True
        self.transport.write(refusal(Draining("the service is shutting down"), self.default_headers))
        self.transport.close()

    def pause_writing(self) -> None:
        """Read nothing more from a client that does not read (called by the event loop)."""
        super().pause_writing()
        self._wire.hold(True)

    def resume_writing(self) -> None:
        """Read again (called by the event loop)."""
        super().resume_writing()
        self._wire.hold(False)

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; text must be UTF-8."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError as error:
                self.frames = []
                self._fail(CloseCode.INVALID_DATA, f"invalid UTF-8 at byte {error.start}")
                return
        super().send_receive_event_to_app()

    async def send(self, message: Any) -> None:
        """Send what the app sends; a refused handshake is complete too, which uvicorn would log as an error.

        Raises:
            ClientDisconnected: the stream was closed meanwhile, which uvicorn would call an error of the app.
        """
        await self.writable.wait()
        if self._refused or (self.handshake_complete and self.close_sent):
            raise ClientDisconnected
        await super().send(message)
        self.handshake_complete |= self.initial_response is not None and self.close_sent

    def _refuse(self, reason: Exception | None) -> None:
        """Answer a request that is no valid handshake; websockets would answer with plain text."""
        error = InvalidRequest(f"the handshake of the stream is invalid: {reason}")
        self.config.metrics.requests.labels(UNMATCHED, str(problem_of(error).status)).inc()
        self.handshake_initiated = self.handshake_complete = self.close_sent = True
        self.transport.write(refusal(error, self.default_headers))
        self.transport.close()

    def _excess(self, frames: list[Frame]) -> str:
        """Count the frames that were parsed; return the reason to refuse them, if any."""
        if not frames:
            return ""
        fragments = small = 0
        for frame in frames:
            if not frame.fin:
                fragments += 1
            elif len(frame.data) < SMALL_FRAME or frame.opcode is Opcode.TEXT:
                small += 1
            if frame.fin and frame.opcode in DATA_OPCODES:
                self._message_seconds = 0.0
                self._arriving.restart()
        now = self.loop.time()
        if self._fragments.exceeded(fragments, now):
            return f"more than {self._limits.fragments_per_second} fragments per second"
        if self._small_frames.exceeded(small, now):
            return f"more than {self._limits.small_frames_per_second} frames without an image per second"
        return ""

    def _hold(self, size: int) -> bool:
        """Book the bytes of the message in progress; False if they do not fit."""
        ledger = self.config.ledger
        if not size:
            if self._message:
                ledger.close(self._message)
            self._message, self._held = None, 0
            return True
        if self._message is None:
            if self._owner is None:
                self._owner = self.config.client_of(self.client[0] if self.client else "", self.scope["headers"])
            self._message = ledger.open(self._owner, self._give_way)
        try:
            if size > self._held:
                ledger.grow(self._message, size - self._held)
            else:
                ledger.shrink(self._message, self._held - size)
        except (Overloaded, Preempted):
            return False
        self._held = size
        return True

    def _give_way(self) -> None:
        """End the stream because others need the bytes of its message."""
        self.loop.call_soon(self._fail, CloseCode.TRY_AGAIN_LATER, "others need the memory of the message")

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Close the stream because of its client."""
        if self.conn.close_sent is not None:
            self.transport.close()
            return
        logger.debug("stream closed with code %d: %s", code, reason)
        self.conn.fail(code, reason)
        self.handle_parser_exception()
