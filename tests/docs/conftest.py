import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import encode_image
from tests.docs.markdown import ROOT
from tests.e2e.conftest import Server
from tests.service.video.conftest import write_clip

_MODULES = {"fer-service": "-m fer_service", "fer-train": "-m fer_training", "python": ""}


class Workspace:
    """A folder that looks like a clone after `make serve` and `make test`, with the files of the examples.

    The programs of both environments are scripts that run this project's code with the Python of the tests.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("FER_")} | {
            "FER_DETECTOR": "own",
            "FER_DEVICE": "cpu",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "COLUMNS": "120",
        }
        for environment in (".venv", ".venv-training"):
            (path / environment / "bin").mkdir(parents=True)
            for name, arguments in _MODULES.items():
                script = path / environment / "bin" / name
                script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
                script.chmod(0o755)
        (path / "docker").mkdir()
        shutil.copy(ROOT / "Makefile", path)

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in this folder."""
        return subprocess.run(
            command, cwd=self.path, env=self._environment, capture_output=True, text=True, check=False, timeout=300
        )


@pytest.fixture
def workspace(tmp_path: Path, astronaut: NDArray[np.uint8], astronaut_jpeg: bytes) -> Workspace:
    """A workspace with photo.jpg, another.png, photos/ and clip.mp4: the astronaut, the clip in five frames."""
    made = Workspace(tmp_path / "clone")
    (made.path / "photo.jpg").write_bytes(astronaut_jpeg)
    (made.path / "photos" / "more").mkdir(parents=True)
    (made.path / "photos" / "more" / "photo.jpg").write_bytes(astronaut_jpeg)
    (made.path / "another.png").write_bytes(encode_image(astronaut, ".png"))
    small = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    write_clip(made.path / "clip.mp4", [small] * 5, [n / 10 for n in range(5)])
    return made


@pytest.fixture(scope="session")
def own_server() -> Iterator[Server]:
    """A server with the bundled model and the built-in detector."""
    running = Server({"FER_DETECTOR": "own"})
    yield running
    running.close()
