"""A program of `in_process.take_turns`, started from here and asked for turns."""

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_service.contract.errors import StartError

from fer_benchmarks.peers.turn import Turn

_PATIENCE = 120  # seconds beyond what was asked for: tensorflow takes long to load


class ProductProcess:
    """A product in a process of its own; use it in a `with` block."""

    def __init__(self, name: str, command: list[str], variables: Mapping[str, str], patience: float = _PATIENCE):
        """Name it.

        Args:
            name: For messages.
            command: That starts it.
            variables: Beside this process's own.
            patience: Seconds that a start, or a turn beyond its own seconds, may take before it is ended.
        """
        self.about = ""
        self._name, self._command, self._patience = name, command, patience
        self._environment = os.environ | variables
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed at the end of the block)

    def __enter__(self) -> "ProductProcess":
        """Start it, and hear which version it is.

        Raises:
            StartError: it ended, or said nothing for too long; with its last line.
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
            self.about = self._told(0)["about"]
        except StartError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def turn(self, image: Path, seconds: float) -> Turn:
        """Let it answer this image for so long.

        Raises:
            StartError: it ended, or took far too long.
        """
        assert self._process.stdin  # noqa: S101 (a pipe, for the type checker)
        try:
            self._process.stdin.write(json.dumps({"image": str(image), "seconds": seconds}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # what it wrote before it ended is told below
        return Turn(**self._told(seconds))

    def _told(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout  # noqa: S101 (a pipe, for the type checker)
        watch = threading.Timer(self._patience + seconds, self._process.kill)
        watch.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            raise StartError(f"{self._name} ended with exit code {self._process.wait()}: {self._last_words()}")
        told: dict[str, Any] = json.loads(line)
        return told

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it wrote nothing"
