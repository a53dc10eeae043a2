"""A real server in its own process: start it, read its log, CPU time and memory, stop it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_service.contract.errors import StartError
from fer_service.contract.settings import PREFIX

SERVE = (sys.executable, "-m", "fer_service", "serve")
_ADDRESS = re.compile(r"serving on (http://[^\s\"']+)")
_PROC = Path("/proc")
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Usage:
    """Resources of a process and its descendants.

    Attributes:
        cpu: CPU seconds since the start, user and system.
        memory: Resident memory now, in MiB.
        peak: Sum of the processes' peaks of resident memory, in MiB.
    """

    cpu: float
    memory: float
    peak: float


class ServerProcess:
    """A server that runs from construction until `close`.

    A `with` block waits until the server is ready, and stops the server at its end.

    Attributes:
        process: The running process.
        url: Base address, read from the log line "serving on http://…"; empty until then.
    """

    def __init__(self, environment: Mapping[str, str], command: Sequence[str] = SERVE, *, url: str = "") -> None:
        """Start the server.

        Args:
            environment: Variables of the process. Others are inherited, except those that begin with FER_.
            command: Command that starts the server.
            url: Base address, for a server that does not log it. Such a server counts as ready at once.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
        self.process = subprocess.Popen(  # noqa: S603 (our own command)
            command,
            env={**inherited, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.url = url
        self._lines: list[str] = []
        self._settled = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "ServerProcess":
        """Wait until the server is ready.

        Raises:
            StartError: The server does not start.
        """
        try:
            self.wait_until_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Ask every process of the server to stop, and kill those that do not."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_STOP_SECONDS)
        self.close()

    @property
    def log(self) -> str:
        """Standard output and standard error so far."""
        return "".join(self._lines)

    @property
    def replicas(self) -> list[int]:
        """Process ids of all descendants; empty on a system without /proc."""
        return _family(self.process.pid)[1:]

    @property
    def rss(self) -> float:
        """Resident memory in MiB, replicas included.

        Raises:
            RuntimeError: The system has no /proc.
        """
        usage = self.usage()
        if usage is None:
            raise RuntimeError("cannot read the memory of a process: the system has no /proc")
        return usage.memory

    def wait_until_ready(self, seconds: float = _START_SECONDS) -> None:
        """Wait until the server has logged its address.

        Raises:
            StartError: The server ended or is not ready in time. The text holds the end of its log.
        """
        if not self.url:
            self._settled.wait(seconds)
        if not self.url:
            last = "".join(self._lines[-5:]).strip() or "no output"
            raise StartError(f"{' '.join(self.process.args)} did not start: {last}")  # type: ignore[arg-type]

    def terminate(self) -> int:
        """Send SIGTERM and wait for the end; return the exit status."""
        self.process.terminate()
        return self.wait()

    def wait(self, seconds: float = _STOP_SECONDS) -> int:
        """Wait for the end; return the exit status."""
        status = self.process.wait(seconds)
        self.close()
        return status

    def close(self) -> None:
        """Kill the server and its descendants."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(5)
        # A descendant in another session may keep the pipe open; then the reader still uses it.
        if self.process.stdout and not self._reader.is_alive():
            self.process.stdout.close()

    def usage(self) -> Usage | None:
        """Return CPU time and memory, or None on a system without /proc."""
        return _usage(self.process.pid) if (_PROC / "self" / "stat").exists() else None

    def idle_cpu(self, seconds: float) -> float | None:
        """Sleep, and return the CPU seconds per second that the server used; None on a system without /proc."""
        before, began = self.usage(), time.monotonic()
        time.sleep(seconds)
        after = self.usage()
        return (after.cpu - before.cpu) / max(time.monotonic() - began, 1e-9) if before and after else None

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._lines.append(line)
            if not self.url and (found := _ADDRESS.search(line)):
                self.url = found[1]
                self._settled.set()
        self._settled.set()


def _usage(pid: int) -> Usage:
    ticks, memory, peak = 0, 0.0, 0.0
    for member in _family(pid):
        try:
            numbers = _stat(member)
            status = (_PROC / str(member) / "status").read_text()
        except OSError:  # the process has just ended
            continue
        ticks += int(numbers[11]) + int(numbers[12])
        memory += _kilobytes(status, "VmRSS") / 1024
        peak += _kilobytes(status, "VmHWM") / 1024
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), memory, peak)


def _family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    parents: dict[int, int] = {}
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):  # the process has just ended
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
    family = [pid]
    for member in family:
        family.extend(child for child, parent in parents.items() if parent == member)
    return family


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the command's name, which may hold spaces and brackets."""
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _kilobytes(status: str, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    return float(found[1]) if found else 0.0
