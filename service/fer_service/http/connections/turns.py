"""Turns of the connections that have received much."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from time import perf_counter
from typing import Final

_SECONDS: Final = 0.004  # of work in one iteration of the event loop


class Turn:
    """The turns of one connection.

    Attributes:
        work: Works for a few milliseconds at most.
        used: Seconds of its work, counted from what others had used when it came.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        """Create one that does not wait.

        Args:
            work: Called when it is the connection's turn.
        """
        self.work = work
        self.used = 0.0


class Turns:
    """Shares the event loop: in each iteration some connections have a turn, first those that have used least.

    If each of sixty floods had a few milliseconds per iteration, an ordinary request would take seconds: it needs
    several iterations. The order is that of start-time fair queueing (Goyal, Vin and Cheng 1996): who comes anew
    is next.
    """

    def __init__(self) -> None:
        """Start without connections."""
        self._waiting: list[tuple[float, int, Turn]] = []  # a heap
        self._number = itertools.count()
        self._now = 0.0  # seconds that the connection had used whose turn was last
        self._working: Turn | None = None
        self._again = False  # the connection that works asks for another turn
        self._scheduled = False

    def wait(self, loop: asyncio.AbstractEventLoop, turn: Turn) -> None:
        """Give a connection one turn, but not before this returns.

        Args:
            loop: The event loop.
            turn: The connection's; it must not wait already.
        """
        if turn is self._working:
            self._again = True
            return
        turn.used = max(turn.used, self._now)
        heapq.heappush(self._waiting, (turn.used, next(self._number), turn))
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._run, loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        began = perf_counter()
        try:
            # Not until none is left: the loop has other things to do.
            for _ in range(len(self._waiting)):
                self._give(loop, heapq.heappop(self._waiting)[2])
                if perf_counter() - began > _SECONDS:
                    break
        finally:
            self._scheduled = bool(self._waiting)
            if self._scheduled:
                loop.call_soon(self._run, loop)

    def _give(self, loop: asyncio.AbstractEventLoop, turn: Turn) -> None:
        self._now, self._working, self._again = turn.used, turn, False
        began = perf_counter()
        try:
            turn.work()
        finally:
            turn.used += perf_counter() - began
            self._working = None
            if self._again:
                self.wait(loop, turn)
