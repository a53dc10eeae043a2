"""Watches the memory of a server and its child processes."""

import os
import threading
import time
from pathlib import Path
from types import TracebackType

from fer_benchmarks.server_process import ServerProcess

_SECONDS = 0.1


class Watch:
    """Samples memory while the block runs.

    Attributes:
        peak: Highest sum of resident memory so far, in MiB.
    """

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.peak = 0.0

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            usage = self._server.usage()
            self.peak = max(self.peak, usage.memory if usage else 0.0)
            if self._over.wait(_SECONDS):
                return


def wait_for_exit(server: ServerProcess, seconds: float) -> tuple[int | None, float]:
    """Send SIGTERM; return the exit status, or None after so many seconds, and the seconds that it took."""
    began = time.monotonic()
    server.process.terminate()
    while server.process.poll() is None and time.monotonic() - began < seconds:
        time.sleep(0.01)
    return server.process.poll(), time.monotonic() - began


def resident(pid: int) -> float:
    """Return the resident memory of one process in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
