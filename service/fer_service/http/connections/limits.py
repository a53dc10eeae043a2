"""Limits of one connection that uvicorn does not have."""

from dataclasses import dataclass
from typing import Final

PIECE_BYTES: Final = 4096  # received bytes are handled in pieces of this size
SMALL_FRAME: Final = 128  # bytes; no image is smaller
TURN_SECONDS: Final = 0.005  # after this much work a connection lets the others go first

_MAX_ADDRESSES: Final = 10_000


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits on what one client sends, and on how long the service waits for it.

    Attributes:
        head_bytes: Maximum bytes of a request's head; the same for the trailers of a body.
        head_lines: Maximum header lines of a head.
        url_bytes: Maximum bytes of a request's URL.
        head_seconds: Maximum seconds until a head is complete.
        pipelined: Maximum requests that wait for their turn on one connection.
        framing_bytes: Maximum bytes of a chunked body that are not content, beyond an eighth of the content.
        bytes_per_second: Minimum rate of bodies, stream messages and answers after their grace period.
        upload_grace: Seconds of silence after which a body or stream message is too slow.
        answer_grace: Seconds after which an answer that the client does not read is cancelled.
        unsent_bytes: Maximum bytes of all answers that wait for clients which do not read.
        kept_body: Maximum remaining bytes of a refused body that are read to keep the connection.
        linger_bytes: Maximum bytes that are discarded after the last answer of a connection.
        linger_head_bytes: The same after a refused head, and of a stream that was closed.
        linger_seconds: Maximum seconds of discarding them.
        linger_silence: Seconds of silence after which discarding ends.
        fragments_per_second: Maximum rate of the unfinished fragments of a stream, also the largest burst.
        small_frames_per_second: The same for its frames without an image: control frames, text, and binary frames
            of less than SMALL_FRAME bytes.
        fragments_per_message: Maximum fragments of a message.
        message_seconds: Maximum seconds until a message is complete.
        handshakes_per_second: Maximum rate at which one address opens streams.
        handshakes_at_once: Largest burst of them.
        connections: Maximum open connections.
        tick: Seconds between two checks of every connection.
    """

    head_bytes: int = 64 * 2**10
    head_lines: int = 100
    url_bytes: int = 8 * 2**10
    head_seconds: float = 10.0
    pipelined: int = 64
    framing_bytes: int = 256 * 2**10
    bytes_per_second: int = 1024
    upload_grace: float = 10.0
    answer_grace: float = 20.0
    unsent_bytes: int = 256 * 2**20
    kept_body: int = 2**20
    linger_bytes: int = 64 * 2**20
    linger_head_bytes: int = 8 * 2**20
    linger_seconds: float = 30.0
    linger_silence: float = 5.0
    fragments_per_second: int = 5000
    small_frames_per_second: int = 200
    fragments_per_message: int = 4096
    message_seconds: float = 30.0
    handshakes_per_second: int = 10
    handshakes_at_once: int = 128
    connections: int = 4096
    tick: float = 1.0


class Pace:
    """Watches that a transfer does not fall behind a minimum rate.

    A leaky bucket of seconds: time empties it and bytes fill it, up to the grace period.
    """

    def __init__(self, grace: float, bytes_per_second: int) -> None:
        """Start full.

        Args:
            grace: Seconds without a byte that are allowed.
            bytes_per_second: Minimum rate.
        """
        self._grace = grace
        self._rate = bytes_per_second
        self._left = grace

    def restart(self) -> None:
        """Begin another transfer."""
        self._left = self._grace

    def too_slow(self, seconds: float, size: int) -> bool:
        """Account for the last seconds.

        Args:
            seconds: Time that passed.
            size: Bytes transferred in it.
        """
        self._left = min(self._grace, self._left - seconds + size / self._rate)
        return self._left < 0


class Rate:
    """Counts events against a maximum per second, and a largest burst (token bucket)."""

    def __init__(self, per_second: int, burst: int | None = None) -> None:
        """Start with a full burst.

        Args:
            per_second: Maximum rate.
            burst: Events that may come at once; a second's worth if None.
        """
        self._per_second = per_second
        self._burst = float(per_second if burst is None else burst)
        self._left = self._burst
        self._counted = 0.0

    def exceeded(self, count: int, now: float) -> bool:
        """Count events, unless they are too many.

        Args:
            count: Number of events.
            now: Seconds of a monotonic clock.
        """
        gained = (now - self._counted) * self._per_second
        self._counted = now
        self._left = min(self._burst, self._left + gained)
        if count > self._left:
            return True
        self._left -= count
        return False


class HandshakeRates:
    """Bounds the rate at which each address opens streams: a handshake costs more than most requests."""

    def __init__(self, limits: ConnectionLimits) -> None:
        """Start without addresses."""
        self._limits = limits
        self._rates: dict[str, Rate] = {}

    def exceeded(self, address: str, now: float) -> bool:
        """Count a handshake.

        Args:
            address: Who opens the stream.
            now: Seconds of a monotonic clock.
        """
        limits = self._limits
        rate = self._rates.pop(address, None)
        self._rates[address] = rate = rate or Rate(limits.handshakes_per_second, limits.handshakes_at_once)
        if len(self._rates) > _MAX_ADDRESSES:
            del self._rates[next(iter(self._rates))]  # that which was not seen for the longest time
        return rate.exceeded(1, now)
