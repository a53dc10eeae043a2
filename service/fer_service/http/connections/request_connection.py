"""A connection of HTTP requests: uvicorn's protocol with limits on heads, bodies and unread answers."""

import asyncio
import logging
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState
from websockets.http11 import MAX_LINE_LENGTH

from fer_service.contract.errors import (
    HeadTooLarge,
    InvalidRequest,
    Overloaded,
    RequestError,
    RequestTooSlow,
    UrlTooLong,
)
from fer_service.http.connections.config import ConnectionConfig
from fer_service.http.connections.limits import Pace
from fer_service.http.connections.refusals import refusal
from fer_service.http.connections.sending import Sending
from fer_service.http.connections.transport import Wire
from fer_service.http.problems import REFUSED, problem_of
from fer_service.observability.metrics import UNMATCHED

# A connection that is new when the listener closes has this long to send its request.
_GRACE_SECONDS = 2.0
_LENGTH_DIGITS = 20  # of the largest length that the parser accepts; more digits are leading zeros
_LONG_AGO = 1e9  # seconds
logger = logging.getLogger(__name__)


class RequestConnection(HttpToolsProtocol):
    """A connection that answers what it refuses.

    uvicorn limits neither the size of a head nor the time that a head, a body or an unread answer takes. It
    answers a malformed request in the middle of another answer, and resets clients that are refused too early.

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
        """Create the protocol of a new connection (called by uvicorn)."""
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits = config.limits
        self._uploading = Pace(limits.upload_grace, limits.bytes_per_second)
        self._in_head = False
        self._in_body = False
        self._marks = 0  # heads begun and completed, and requests completed
        self._lines = 0  # of the head or the trailers
        self._line_bytes = 0  # in these lines
        self._partial_bytes = 0  # received without completing a head
        self._body_left = 0  # as declared; 0 if the body is chunked
        self._content = 0  # bytes of bodies in the last piece
        self._received = 0  # the same since the last check
        self._framing_left = 0.0
        self._early = False  # an answer before the end of the body closes the connection
        self._keep_alive = True  # what the client asked for
        self._head_seconds = 0.0
        self._refusal: RequestError | None = None
        self._refused = False
        self._answered = 0.0  # time of the end of the last answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start (called by the event loop)."""
        transport = cast(asyncio.Transport, transport)
        wire = Wire(transport, self, self.loop, self.server_state, self._limits, self.config.turns)
        self._wire = wire
        self.sending = Sending(wire, self._limits)
        self._since = self.loop.time()
        super().connection_made(wire)
        self.config.cap.admit(self, self.server_state)

    def data_received(self, data: bytes) -> None:
        """Handle received bytes (called by the event loop)."""
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self._wire.receive(data)

    def take(self, piece: bytes | memoryview) -> None:
        """Parse received bytes."""
        if self._refused:
            return
        marks, self._content = self._marks, 0
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            rest = bytes(piece[upgrade.args[0] :])
            if self._should_upgrade():
                self._wire.put_back(rest)
                self.handle_websocket_upgrade()
            else:
                self._begin_again(rest)
        except httptools.HttpParserError as error:
            cause = error.__context__
            logger.debug("invalid request: %r", cause or error)
            self._refuse(
                cause if isinstance(cause, RequestError) else InvalidRequest("the request is not valid HTTP")
            )
        else:
            self._count(len(piece), unchanged=marks == self._marks)

    def piece_bytes(self) -> int:
        """Return the bytes of a body that the parser passes on in one call."""
        return self._body_left if self._in_body else 0

    def unread_bytes(self) -> int:
        """Return how much to discard of a body, or of a refused head."""
        if self._in_body:
            return self._limits.linger_bytes
        return self._limits.linger_head_bytes if self._refused else 0

    def check(self, seconds: float) -> None:
        """Close the connection if its client is too slow (see `Connection`)."""
        if self.sending.waits(seconds):
            return
        if self._in_body:
            if self._wire.receiving:
                size, self._received = self._received, 0
                if self._uploading.too_slow(seconds, size):
                    self._refuse(
                        RequestTooSlow(
                            "the body stood still, or arrived at less than "
                            f"{self._limits.bytes_per_second:,} bytes per second, "
                            f"for {self._limits.upload_grace:g} s"
                        )
                    )
        elif self.timeout_keep_alive_task is None and not self._answering():
            self._head_seconds += seconds
            if self._head_seconds > self._limits.head_seconds:
                if self._in_head:
                    self._refuse(RequestTooSlow(f"the head took more than {self._limits.head_seconds:g} s"))
                else:
                    self.transport.close()

    def idle_since(self) -> float | None:
        """Return since when there is no request (see `Connection`)."""
        if self._in_body or self._answering():
            return None
        # Those that had a request are closed first, the longest idle one of them before the others.
        return self._answered - _LONG_AGO if self.timeout_keep_alive_task is not None else self._since

    def abort(self) -> None:
        """Close the connection at once."""
        self._wire.abort()

    def shutdown(self) -> None:
        """Close after the request in progress, or after the grace period if none has arrived.

        uvicorn closes idle connections when it stops, also those from which it has not read yet. Their clients
        have sent a request and would get a reset instead of an answer.
        """
        cycle: RequestResponseCycle | None = self.cycle  # None until the first request's head has arrived
        self._keep_alive = False
        if cycle is None:
            self.loop.call_later(_GRACE_SECONDS, self._shutdown)
        else:
            super().shutdown()

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._in_head = True
        self._marks += 1
        self._lines = self._line_bytes = self._partial_bytes = self._body_left = 0
        self._head_seconds = 0.0
        self._early = False

    def on_url(self, url: bytes) -> None:
        """Take a part of the URL."""
        self.url += url
        if len(self.url) > self._limits.url_bytes:
            raise UrlTooLong(f"the URL has more than {self._limits.url_bytes} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header line, or drop one of the trailers."""
        self._lines += 1
        self._line_bytes += len(name) + len(value) + 4
        if self._lines > self._limits.head_lines or self._line_bytes + len(self.url) > self._limits.head_bytes:
            raise self._too_large()
        if self._in_body:
            return
        name = name.lower()
        if name == b"content-length":
            self._body_left = int(value[-_LENGTH_DIGITS:])
        elif name == b"transfer-encoding":
            self._early = True
        elif name == b"expect" and value.lower() == b"100-continue" and self.parser.get_http_version() != "1.0":
            self.expect_100_continue = self._early = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Start the request."""
        if len(self.pipeline) >= self._limits.pipelined:
            raise InvalidRequest(f"more than {self._limits.pipelined} requests wait on this connection")
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and self.parser.get_http_version() != "1.0"):
            raise InvalidRequest(f"the request has {hosts} headers Host, it must have one (RFC 9112, section 3.2)")
        self._in_head = False
        self._marks += 1
        if self.parser.should_upgrade():
            if self._should_upgrade():
                self._check_handshake()
                super().on_headers_complete()
            elif self.parser.get_method() == b"CONNECT":
                raise InvalidRequest("CONNECT is for proxies")
            return  # other requests are parsed again, without the header
        super().on_headers_complete()
        self._in_body = True
        self._lines = self._line_bytes = 0
        self._framing_left = self._limits.framing_bytes
        self._uploading.restart()
        self._early |= self._body_left > self._limits.kept_body
        if self._early:
            self._keep_alive = self.cycle.keep_alive
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._content += len(body)
        self._body_left = max(0, self._body_left - len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request."""
        if self.parser.should_upgrade():
            return
        self._in_body = False
        self._marks += 1
        self._partial_bytes = 0
        self._head_seconds = 0.0
        if self._early and self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = self._keep_alive
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, or with the refusal that waits."""
        last = not self.pipeline
        self._answered = self.loop.time()
        super().on_response_complete()
        if last and self._refusal:
            self._answer(self._refusal)

    def _shutdown(self) -> None:
        if self in self.connections:  # and not a stream by now
            super().shutdown()

    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _begin_again(self, rest: bytes) -> None:
        """Parse a request that asks for another protocol once more, without its header Upgrade.

        A server may ignore Upgrade (RFC 9110, section 7.8). The parser cannot: it takes the body for the other
        protocol, and reads no further if the connection is to be closed.
        """
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._wire.put_back(b"\r\n".join([*lines, b"", rest]))

    def _count(self, size: int, *, unchanged: bool) -> None:
        """Count the bytes of a piece that belong to no body and to no complete line."""
        if self._in_body:
            self._received += self._content
            self._framing_left -= size - self._content - self._content / 8
            if self._framing_left < 0:
                self._refuse(InvalidRequest("the chunks of the body are too small, or their extensions too large"))
        elif unchanged:
            self._partial_bytes += size
            if self._partial_bytes > self._limits.head_bytes:
                self._refuse(self._too_large())

    def _too_large(self) -> HeadTooLarge:
        limits = self._limits
        return HeadTooLarge(f"the head has more than {limits.head_bytes} bytes or {limits.head_lines} lines")

    def _check_handshake(self) -> None:
        """Refuse the handshakes of streams that come too fast, or that websockets would not answer."""
        client = self.config.client_of(self.client[0] if self.client else "", self.headers)
        if self.config.handshakes.exceeded(client, self.loop.time()):
            raise Overloaded("this address opens streams too fast; retry after a moment")
        if self._answering():
            raise InvalidRequest("a handshake must wait for the answers to earlier requests")
        if self._body_left or any(name == b"transfer-encoding" for name, _ in self.headers):
            raise InvalidRequest("a handshake must not have a body")
        if any(len(name) + len(value) + len(b": \r\n") > MAX_LINE_LENGTH for name, value in self.headers):
            raise HeadTooLarge(f"a header of a handshake has more than {MAX_LINE_LENGTH} bytes")
        if len(self.url) + len(b"GET  HTTP/1.1\r\n") > MAX_LINE_LENGTH:
            raise UrlTooLong(f"the request line of a handshake has more than {MAX_LINE_LENGTH} bytes")

    def _refuse(self, error: RequestError) -> None:
        """Answer for the app, after the earlier requests of this connection, and close."""
        self._refused = True
        running = self._answering() and not self.pipeline  # the app may be reading the body that is refused
        if not self._answering():
            if self._in_body:  # of a request that has its answer
                self.transport.close()
            else:
                self._answer(error)
        elif self._in_body and running:
            self.cycle.scope["state"][REFUSED] = problem_of(error).status
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.abort()
            else:
                self._answer(error)
        else:
            if self._in_body:
                self.pipeline.popleft()
            self._in_body = False
            self._refusal = error

    def _answer(self, error: RequestError) -> None:
        if not self._answering():  # otherwise the app counts the request
            self.config.metrics.requests.labels(UNMATCHED, str(problem_of(error).status)).inc()
        self.transport.write(refusal(error, self.server_state.default_headers))
        self.transport.close()
