"""Which frames of a clip are analysed."""

from typing import Final

_TOLERANCE: Final = 1e-4  # seconds; containers round the times of frames


class Sampling:
    """Chooses frames at regular times, or all frames."""

    def __init__(self, every: float) -> None:
        """Start before the first frame.

        Args:
            every: Seconds between analysed frames; 0 takes every frame.
        """
        self._every = every
        self._due = 0.0

    def takes(self, time: float) -> bool:
        """Return True if the frame of this time is analysed; frames come in order."""
        if time + _TOLERANCE < self._due:
            return False
        # Times are multiples of `every`, so that a late frame does not delay the next ones.
        self._due = ((time + _TOLERANCE) // self._every + 1) * self._every if self._every else 0.0
        return True
