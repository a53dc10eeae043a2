"""Limits on the rate of frames of one stream, and on bad frames."""

import time
from collections.abc import Callable
from typing import Final

FRAMES_PER_SECOND: Final = 120
BURST: Final = 600  # frames that may come at once, after a pause of the network or of the service
BAD_FRAMES: Final = 100


class StreamClosed(Exception):
    """A stream breaks a rule and must be closed; the text says which, in at most 123 bytes (RFC 6455)."""


class FrameLimits:
    """Counts the messages of one stream: its rate, and the bad frames since the last good one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with a full burst.

        Args:
            clock: Seconds.
        """
        self._clock = clock
        self._credit = float(BURST)
        self._counted = clock()
        self._bad = 0

    def arrived(self) -> None:
        """Count a message.

        Raises:
            StreamClosed: more have come than the rate and the burst allow.
        """
        now = self._clock()
        self._credit = min(BURST, self._credit + (now - self._counted) * FRAMES_PER_SECOND)
        self._counted = now
        if self._credit < 1:
            raise StreamClosed(f"more than {FRAMES_PER_SECOND} frames per second")
        self._credit -= 1

    def bad(self) -> None:
        """Count a frame that is the client's fault.

        Raises:
            StreamClosed: there are too many without a good one between them.
        """
        self._bad += 1
        if self._bad >= BAD_FRAMES:
            raise StreamClosed(f"{BAD_FRAMES} frames in a row that are not images")

    def good(self) -> None:
        """Count a frame that is not the client's fault: bad ones before it are not in a row with later ones."""
        self._bad = 0
