import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

START_SECONDS = 30
StartServer = Callable[..., "Server"]


class Server:
    """The real service in a process of its own, spoken to over HTTP.

    Attributes:
        url: Its address.
        client: An HTTP client for it.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("FER_")}
        settings = {"FER_PORT": "0", "FER_DETECTOR": "haar", "FER_DEVICE": "cpu"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fer_service", "serve"],
            env=plain | settings | environment,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
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
        """What it has written to standard error."""
        return "".join(self._lines)

    @property
    def replicas(self) -> list[int]:
        """The process identifiers of its children."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in listed]

    @property
    def rss(self) -> float:
        """Resident memory in MB, replicas included."""
        return sum(_resident(pid) for pid in [self.process.pid, *self.replicas])

    def terminate(self) -> int:
        """Tell it to end; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; its exit status."""
        status = self.process.wait(START_SECONDS)
        self.close()
        return status

    def close(self) -> None:
        """End it and every process it has started, however they stand."""
        self.client.close()
        with contextlib.suppress(ProcessLookupError):  # none is left
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


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found.group(1)) / 1024 if found else 0.0


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Start a server with these FER_ variables; it is ended with the test."""
    started: list[Server] = []

    def start(**environment: str) -> Server:
        started.append(Server(environment))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server with the bundled model and default limits for a whole file of tests."""
    running = Server({})
    yield running
    running.close()
