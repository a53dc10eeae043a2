"""Where the process stands between its start and its end, and how it takes the news that it is to end."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from types import FrameType


class Phase(Enum):
    """A process goes through these in order, and never back."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Lifecycle:
    """The process's phase, which the health routes tell.

    Attributes:
        phase: Where the process stands.
    """

    def __init__(self) -> None:
        self.phase = Phase.STARTING

    @contextmanager
    def serving(self, drain_delay: float) -> Iterator[None]:
        """Be ready inside; on SIGTERM be draining, and let the server hear of it only `drain_delay` later.

        A server closes its listener as soon as it hears the signal. Until balancers have seen that the process is
        not ready any more they send requests to it, and those are still to be taken.
        """
        self.phase = Phase.READY
        # Only the main thread can take signals; elsewhere (tests, embedding) the host decides about the end.
        if threading.current_thread() is not threading.main_thread():
            yield
            self.phase = Phase.DRAINING
            return
        loop = asyncio.get_running_loop()
        server_hears = signal.getsignal(signal.SIGTERM)

        def tell_server() -> None:
            if callable(server_hears):
                server_hears(signal.SIGTERM, None)
            elif server_hears == signal.SIG_DFL:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.raise_signal(signal.SIGTERM)

        def on_sigterm(number: int, frame: FrameType | None) -> None:
            if self.phase is Phase.DRAINING or not drain_delay:
                self.phase = Phase.DRAINING
                tell_server()
                return
            self.phase = Phase.DRAINING
            loop.call_soon_threadsafe(loop.call_later, drain_delay, tell_server)

        signal.signal(signal.SIGTERM, on_sigterm)
        try:
            yield
        finally:
            self.phase = Phase.DRAINING
            signal.signal(signal.SIGTERM, server_hears)
