"""The phase of the process, and the delay between SIGTERM and the end of serving."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from types import FrameType


class Phase(Enum):
    """The phases of a process, in order."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Lifecycle:
    """The phase of the process, as the health routes report it.

    Attributes:
        phase: Current phase.
    """

    def __init__(self) -> None:
        self.phase = Phase.STARTING

    @contextmanager
    def serving(self, drain_delay: float) -> Iterator[None]:
        """Be ready while the block runs; on SIGTERM drain, and stop the server after `drain_delay` seconds.

        A server closes its listener as soon as it gets the signal. But a load balancer sends requests until it has
        seen that the process is not ready, and those must still be answered. Who presses Ctrl-C does not wait.
        """
        self.phase = Phase.READY
        # Python delivers signals to the main thread only; in another thread (tests, embedding) the host stops us.
        if threading.current_thread() is not threading.main_thread():
            yield
            self.phase = Phase.DRAINING
            return
        loop = asyncio.get_running_loop()
        server_handler, interrupt_handler = map(signal.getsignal, (signal.SIGTERM, signal.SIGINT))

        def stop_server() -> None:
            if callable(server_handler):
                server_handler(signal.SIGTERM, None)
            elif server_handler == signal.SIG_DFL:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.raise_signal(signal.SIGTERM)

        def on_sigterm(number: int, frame: FrameType | None) -> None:
            draining, self.phase = self.phase is Phase.DRAINING, Phase.DRAINING
            if draining or not drain_delay:
                stop_server()
            else:
                loop.call_soon_threadsafe(loop.call_later, drain_delay, stop_server)

        def on_sigint(number: int, frame: FrameType | None) -> None:
            self.phase = Phase.DRAINING
            if callable(interrupt_handler):
                interrupt_handler(number, frame)

        signal.signal(signal.SIGTERM, on_sigterm)
        if callable(interrupt_handler):
            signal.signal(signal.SIGINT, on_sigint)
        try:
            yield
        finally:
            self.phase = Phase.DRAINING
            signal.signal(signal.SIGTERM, server_handler)
            if callable(interrupt_handler):
                signal.signal(signal.SIGINT, interrupt_handler)
