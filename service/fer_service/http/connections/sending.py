"""Answers that wait for a client to read them."""

import asyncio
from collections.abc import Iterable

from fer_service.http.connections.limits import ConnectionLimits, Pace


class Sending:
    """Watches that a client reads what is sent to it.

    Attributes:
        unsent: Bytes that wait for the client.
        silence: Seconds since the client last read some of them.
    """

    def __init__(self, transport: asyncio.Transport, limits: ConnectionLimits) -> None:
        """Watch a transport.

        Args:
            transport: The transport.
            limits: Minimum rate and grace period of answers.
        """
        self._transport = transport
        self._pace = Pace(limits.answer_grace, limits.bytes_per_second)
        self.unsent = 0
        self.silence = 0.0

    def waits(self, seconds: float) -> bool:
        """Tell if the client has yet to read something, and abort the connection if it is too slow.

        Args:
            seconds: Time since the last call.
        """
        before, self.unsent = self.unsent, self._transport.get_write_buffer_size()
        read = max(0, before - self.unsent)
        self.silence = 0.0 if read or not self.unsent else self.silence + seconds
        if not self.unsent:
            self._pace.restart()
        elif self._pace.too_slow(seconds, read):
            self.abort()
        return self.unsent > 0

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()


def shed(sendings: Iterable[Sending], max_bytes: int) -> None:
    """Give up unread answers while all together hold too much memory, the most silent client first.

    Args:
        sendings: All connections' answers.
        max_bytes: Maximum sum of the bytes that wait.
    """
    waiting = [sending for sending in sendings if sending.unsent]
    excess = sum(sending.unsent for sending in waiting) - max_bytes
    for sending in sorted(waiting, key=lambda sending: -sending.silence):
        if excess <= 0 or not sending.silence:
            return
        excess -= sending.unsent
        sending.abort()
