"""Turns of the connections that have received much."""

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final

_SECONDS: Final = 0.01  # of work in one iteration of the event loop


class Turns:
    """Shares the event loop: connections with much to handle take turns, and in each iteration only some have one.

    If each of sixty floods had a few milliseconds per iteration, an ordinary request would take seconds: it needs
    several iterations.
    """

    def __init__(self) -> None:
        """Start without connections."""
        self._waiting: deque[Callable[[], None]] = deque()
        self._scheduled = False

    def wait(self, loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
        """Call `work` once, when it is its turn, but not before this returns.

        Args:
            loop: The event loop.
            work: Works for a few milliseconds at most.
        """
        self._waiting.append(work)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._run, loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        began = perf_counter()
        try:
            # Who waits again meanwhile waits for the next iteration.
            for _ in range(len(self._waiting)):
                self._waiting.popleft()()
                if perf_counter() - began > _SECONDS:
                    break
        finally:
            self._scheduled = bool(self._waiting)
            if self._scheduled:
                loop.call_soon(self._run, loop)
