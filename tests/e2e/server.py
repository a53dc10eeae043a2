"""The real service in a process of its own."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

import httpx
from fer_benchmarks.server_process import ServerProcess
from fer_service.contract.errors import StartError

ROOT = Path(__file__).parents[2]
# The detector that ships: a YuNet file in the user's cache must not change what the tests see.
SETTINGS = {"FER_PORT": "0", "FER_DETECTOR": "own", "FER_DEVICE": "cpu"}
StartServer = Callable[..., "Server"]


class Server(ServerProcess):
    """A server process that listens on a free port of 127.0.0.1, or has ended without.

    Attributes:
        client: An HTTP client for it.
    """

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        """Start it and wait until it listens or ends.

        Args:
            settings: Environment variables that add to or replace the usual ones.
        """
        super().__init__(SETTINGS | (settings or {}))
        with contextlib.suppress(StartError):
            self.wait_until_ready()
        self.client = httpx.Client(base_url=self.url, timeout=60)

    @property
    def peak_memory(self) -> int:
        """The peak of resident memory in bytes (VmHWM, proc(5))."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found.group(1)) * 1024

    def close(self) -> None:
        """Kill the process and all its children."""
        self.client.close()
        super().close()
