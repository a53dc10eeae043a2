"""The real service in a process of its own."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx

START_SECONDS = 30
ROOT = Path(__file__).parents[2]
# The detector that ships: a YuNet file in the user's cache must not change what the tests see.
SETTINGS = {"FER_PORT": "0", "FER_DETECTOR": "own", "FER_DEVICE": "cpu"}
StartServer = Callable[..., "Server"]


class Server:
    """A server process that listens on a free port of 127.0.0.1.

    Attributes:
        process: The process.
        url: Its address; empty if it ended before it listened.
        client: An HTTP client for it.
    """

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        """Start it and wait until it listens or ends.

        Args:
            settings: Environment variables that add to or replace the usual ones.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FER_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fer_service", "serve"],
            env=inherited | SETTINGS | (settings or {}),
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
        self._lines: list[str] = []
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._listening.wait(START_SECONDS)
        found = re.search(r"http://127\.0\.0\.1:\d+", self.log)
        self.url = found.group() if found else ""
        self.client = httpx.Client(base_url=self.url, timeout=60)

    @property
    def log(self) -> str:
        """The lines of standard error so far."""
        return "".join(self._lines)

    @property
    def replicas(self) -> list[int]:
        """The process identifiers of its children."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in listed]

    @property
    def peak_memory(self) -> int:
        """The most resident memory that the process has had, in bytes (VmHWM, proc(5))."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found.group(1)) * 1024

    def terminate(self) -> int:
        """Send SIGTERM, wait for the end, and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end and return the exit status."""
        status = self.process.wait(START_SECONDS)
        self.close()
        return status

    def close(self) -> None:
        """Kill the process and all its children."""
        self.client.close()
        with contextlib.suppress(ProcessLookupError):  # all have ended
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.append(line)
            if "serving on" in line:
                self._listening.set()
        self._listening.set()
