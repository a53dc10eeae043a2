"""A product's process (see `worker.run_worker`), started and controlled from here."""

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_service.contract.errors import StartError

from fer_benchmarks.peers.worker import Measurement

_PATIENCE_SECONDS = 120  # tensorflow takes long to import


class WorkerProcess:
    """A product in its own process; used in a `with` block.

    Attributes:
        about: Version and weights of the product.
    """

    def __init__(
        self, name: str, command: list[str], variables: Mapping[str, str], patience: float = _PATIENCE_SECONDS
    ) -> None:
        """Store the command; the process starts with the `with` block.

        Args:
            name: Name of the product, for messages.
            command: Command that starts it.
            variables: Environment variables, added to the current ones.
            patience: Maximum seconds for the start, and for a measurement beyond its duration.
        """
        self.about = ""
        self._name, self._command, self._patience = name, command, patience
        self._environment = os.environ | variables
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed at the end of the block)

    def __enter__(self) -> "WorkerProcess":
        """Start the process and read `about`.

        Raises:
            StartError: The process ended or was too slow. The text has the last line of its errors.
        """
        self._process = subprocess.Popen(  # noqa: S603 (our own command)
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=self._environment,
            text=True,
        )
        try:
            self.about = self._read_result(0)["about"]
        except StartError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def measure(self, image: Path, seconds: float) -> Measurement:
        """Let the product analyze this image again and again for so many seconds.

        Raises:
            StartError: The process ended or was too slow.
        """
        assert self._process.stdin  # noqa: S101 (a pipe, for the type checker)
        try:
            self._process.stdin.write(json.dumps({"image": str(image), "seconds": seconds}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # `_read_result` reports why the process ended
        return Measurement(**self._read_result(seconds))

    def _read_result(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout  # noqa: S101 (a pipe, for the type checker)
        watchdog = threading.Timer(self._patience + seconds, self._process.kill)
        watchdog.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            raise StartError(f"{self._name} ended with exit code {self._process.wait()}: {self._last_error()}")
        result: dict[str, Any] = json.loads(line)
        return result

    def _last_error(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no output"
