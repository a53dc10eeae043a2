"""The transport between uvicorn's protocols and the socket: it shares the event loop and closes in order."""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol, cast

from uvicorn.server import ServerState

from fer_service.http.connections.limits import PIECE_BYTES, TURN_SECONDS, ConnectionLimits
from fer_service.http.connections.sending import Sending
from fer_service.http.connections.turns import Turn, Turns


class Owner(Protocol):
    """The protocol that uses a transport."""

    def take(self, piece: bytes | memoryview) -> None:
        """Handle received bytes."""

    def piece_bytes(self) -> int:
        """Return how many bytes `take` can handle in little time."""

    def unread_bytes(self) -> int:
        """Return how many bytes to discard from a client that may still send when the transport closes, or 0."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""


class Wire(asyncio.Transport):
    """A transport that shares the event loop and lets the client read the last answer.

    The loop reads up to 32 times 256 KiB from one socket before it looks at another. So what is received is
    handled in pieces, for a few milliseconds at a time. The rest waits for the next turn (`Turns`), and nothing is
    read.

    A socket that is closed while its client still sends is reset, and the reset overtakes the answer. So `close`
    then ends only the service's side, and what the client sends is discarded until it closes too (`Lingering`).

    Attributes:
        owner: The protocol that uses this transport.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        owner: Owner,
        loop: asyncio.AbstractEventLoop,
        state: ServerState,
        limits: ConnectionLimits,
        turns: Turns,
    ) -> None:
        """Wrap the transport of a new connection.

        Args:
            transport: The event loop's transport.
            owner: The protocol that uses it.
            loop: The event loop.
            state: Counts the connections.
            limits: Limits on discarding.
            turns: Turns of all connections.
        """
        super().__init__()
        self._turns = turns
        self._turn = Turn(self._work)
        self.owner = owner
        self._transport = transport
        self._loop = loop
        self._state = state
        self._limits = limits
        self._closing = False
        self._wanted = True  # the protocol wants to receive
        self._held = False  # the client does not read
        self._reading = True  # the event loop reads
        self._rest = b""  # received, handled up to `_at`
        self._at = 0
        self._queued = False  # for a turn
        self._working = False
        # What uvicorn calls for every request needs no detour.
        self.get_extra_info: Callable[..., Any] = transport.get_extra_info
        self.get_write_buffer_size: Callable[[], int] = transport.get_write_buffer_size

    @property
    def receiving(self) -> bool:
        """True while the service is ready for more bytes, so that only the client can be slow."""
        return self._wanted and not self._held and not self._rest

    def receive(self, data: bytes) -> None:
        """Hand received bytes to the owner, now or in later turns."""
        if not self._rest and len(data) <= PIECE_BYTES // 2:
            self.owner.take(data)
        else:
            self._rest += data
            self._go_on()

    def put_back(self, data: bytes) -> None:
        """Take back bytes to hand them on once more, to the owner or to its successor."""
        self._rest, self._at = data + self._rest[self._at :], 0
        self._go_on()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, unless the transport is closing."""
        if not self._closing:
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Hand on nothing until `resume_reading`."""
        self._wanted = False
        self._adjust()

    def resume_reading(self) -> None:
        """Hand on what waits, and read again."""
        self._wanted = True
        self._go_on()

    def hold(self, held: bool) -> None:
        """Hand on nothing while held, even if the protocol wants to read."""
        self._held = held
        self._go_on()

    def is_closing(self) -> bool:
        """Tell if the transport is closed or about to be."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Send what is left, then close; the client may read it first."""
        if self.is_closing():
            return
        self._end()
        unread = self.owner.unread_bytes()
        if unread:
            discard = Lingering(self._transport, self._loop, self._state, self._limits, self._turns, unread)
            self._transport.set_protocol(discard)
            self._transport.write_eof()
            self._transport.resume_reading()
            self.owner.connection_lost(None)
        else:
            self._transport.close()

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        self._end()
        self._transport.abort()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give the connection to another protocol."""
        self._transport.set_protocol(protocol)

    def _go_on(self) -> None:
        if self._rest and not self._working and not self._queued:
            self._queued = True
            self._turns.wait(self._loop, self._turn)
        self._adjust()

    def _end(self) -> None:
        self._closing = True
        self._rest, self._at = b"", 0

    def _work(self) -> None:
        """Handle what was received until the turn is over."""
        self._working, self._queued, over = True, False, False
        began = perf_counter()
        try:
            while self._at < len(self._rest) and self._wanted and not self._held:
                over = perf_counter() - began > TURN_SECONDS
                if over:
                    break
                size = max(PIECE_BYTES, self.owner.piece_bytes())
                piece = memoryview(self._rest)[self._at : self._at + size]
                self._at += size
                self.owner.take(piece)
        finally:
            self._working = False
            self._rest, self._at = self._rest[self._at :], 0
        if over:
            self._go_on()
        self._adjust()

    def _adjust(self) -> None:
        reading = self.receiving
        if reading != self._reading and not self._closing:
            self._reading = reading
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()


class Lingering(asyncio.Protocol):
    """A connection that has its last answer: what its client still sends is discarded until it closes too.

    Attributes:
        sending: What waits for the client.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        state: ServerState,
        limits: ConnectionLimits,
        turns: Turns,
        unread: int,
    ) -> None:
        """Take a connection over.

        Args:
            transport: The event loop's transport.
            loop: The event loop.
            state: Counts the connections.
            limits: How long the client is waited for.
            turns: Turns of all connections.
            unread: Maximum bytes to discard.
        """
        self._transport = transport
        self._loop = loop
        self._turns = turns
        self._turn = Turn(self._read_on)
        self._connections = cast(set[asyncio.Protocol], state.connections)
        self._connections.add(self)
        self._limits = limits
        self.sending = Sending(transport, limits)
        self._left = unread
        self._seconds = 0.0
        self._silence = 0.0

    def data_received(self, data: bytes) -> None:
        """Discard what the client sends, once per iteration of the event loop."""
        self._silence = 0.0
        self._left -= len(data)
        if self._left < 0:
            self.abort()
            return
        self._transport.pause_reading()
        self._turns.wait(self._loop, self._turn)

    def _read_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._connections.discard(self)

    def check(self, seconds: float) -> None:
        """End the connection if its client does not (see `Connection`)."""
        if self.sending.waits(seconds):
            return
        self._seconds += seconds
        self._silence += seconds
        if self._seconds > self._limits.linger_seconds or self._silence > self._limits.linger_silence:
            self.abort()

    def idle_since(self) -> float | None:
        """Return the earliest time: there will be no request (see `Connection`)."""
        return 0.0

    def abort(self) -> None:
        """Close the connection."""
        self._transport.abort()

    def shutdown(self) -> None:
        """Let the client read on while the server stops (called by uvicorn)."""
