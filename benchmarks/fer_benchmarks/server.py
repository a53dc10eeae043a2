"""A real server process under load from another process, and what it takes of the machine."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from fer_service.contract.errors import StartError

from fer_benchmarks.load import Plan, Result

_PROC = Path("/proc")
_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Usage:
    """What a process and its children have taken so far.

    Attributes:
        cpu: Seconds, user and system.
        memory: Resident MiB at this moment.
        peak: Resident MiB at most, summed over the processes.
    """

    cpu: float
    memory: float
    peak: float


class Server:
    """A server started for measuring; use it in a `with` block."""

    def __init__(self, command: list[str], environment: Mapping[str, str], ready: str = r"http://([\d.]+):(\d+)"):
        """Name the server.

        Args:
            command: That starts it.
            environment: Variables beside this process's own.
            ready: What it prints when it serves; the groups are host and port.
        """
        self._command, self._ready = command, re.compile(ready)
        self._environment = os.environ | environment
        self._process: subprocess.Popen[str] | None = None
        self.host, self.port = "", 0

    def __enter__(self) -> "Server":
        """Start it.

        Raises:
            StartError: it ended instead of serving.
        """
        self._process = subprocess.Popen(  # noqa: S603 (our own command)
            self._command,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        lines: list[str] = []
        for line in self._process.stdout or ():
            lines.append(line)
            found = self._ready.search(line)
            if found:
                self.host, self.port = found[1], int(found[2])
                # A server that goes on to write would stand still when the pipe is full.
                threading.Thread(target=_swallow, args=(self._process.stdout,), daemon=True).start()
                return self
        self.__exit__()
        _swallow(self._process.stdout)
        raise StartError(f"{self._command[0]} did not serve: {''.join(lines[-5:])}")

    def __exit__(self, *_: object) -> None:
        """End it."""
        if self._process is None:
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def load(
        self,
        body: bytes,
        *,
        path: str = "/predict",
        content_type: str = "image/jpeg",
        seconds: float,
        concurrency: int,
        rate: float = 0.0,
    ) -> Result:
        """Send requests from another process (see `Plan`).

        Raises:
            StartError: the server left a request without an answer.
        """
        plan = Plan(self.host, self.port, path, content_type, seconds, concurrency, rate)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "fer_benchmarks.load"],
                input=json.dumps(asdict(plan)).encode() + b"\n" + body,
                capture_output=True,
                check=True,
                timeout=seconds + _PATIENCE_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise StartError(f"{self._command[0]} has not answered for {_PATIENCE_SECONDS} seconds") from error
        fields: dict[str, Any] = json.loads(done.stdout)
        fields["statuses"] = {int(status): count for status, count in fields["statuses"].items()}
        return Result(**fields)

    def usage(self) -> Usage | None:
        """What it takes, its children included; None where the system has no /proc."""
        if self._process is None or not (_PROC / "self" / "stat").exists():
            return None
        return _usage(self._process.pid)

    def idle_cpu(self, seconds: float) -> float | None:
        """Seconds of CPU it takes a second while nobody asks."""
        before = self.usage()
        time.sleep(seconds)
        after = self.usage()
        return (after.cpu - before.cpu) / seconds if before and after else None


def multipart(image: bytes) -> tuple[bytes, str]:
    """A body with the image as its field `file`, and its content type."""
    boundary = "fer-benchmark"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return (
        head.encode() + image + f"\r\n--{boundary}--\r\n".encode(),
        f"multipart/form-data; boundary={boundary}",
    )


def _swallow(stream: IO[str] | None) -> None:
    if stream:
        with stream:
            deque(stream, 0)


def _usage(pid: int) -> Usage:
    ticks, memory, peak = 0, 0.0, 0.0
    for member in _family(pid):
        try:
            # The command's name, in brackets, may hold anything; numbers follow it.
            numbers = (_PROC / str(member) / "stat").read_text().rpartition(")")[2].split()
            status = (_PROC / str(member) / "status").read_text()
        except OSError:  # it has just ended
            continue
        ticks += int(numbers[11]) + int(numbers[12])
        memory += _kilobytes(status, "VmRSS") / 1024
        peak += _kilobytes(status, "VmHWM") / 1024
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), memory, peak)


def _family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    parents: dict[int, int] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    family = [pid]
    for member in family:
        family.extend(child for child, parent in parents.items() if parent == member)
    return family


def _kilobytes(status: str, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    return float(found[1]) if found else 0.0
