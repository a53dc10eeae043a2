import io
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from fer_service.cli.analysis import SourceReader
from fer_service.cli.sources import STDIN
from fer_service.contract.errors import UndecodableImage

from tests.service.conftest import plain

PIXELS = 1_000_000


def test_standard_input_and_pipes_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, file = tmp_path / "pipe", tmp_path / "a.png"
    os.mkfifo(pipe)
    threading.Thread(target=lambda: pipe.write_bytes(plain("red")), daemon=True).start()
    stdin = io.BytesIO(plain("lime"))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=stdin))
    read = SourceReader([STDIN, pipe, file], PIXELS)
    assert stdin.read() == b""
    file.write_bytes(plain("blue"))
    assert [read(path) for path in (STDIN, pipe, file)] == [plain("lime"), plain("red"), plain("blue")]


def test_pipes_are_read_at_the_same_time(tmp_path: Path) -> None:
    pipes = [tmp_path / name for name in "ab"]
    for pipe in pipes:
        os.mkfifo(pipe)
    large = plain("red") + bytes(2**18)  # more than a pipe holds

    def write() -> None:
        with pipes[1].open("wb") as second, pipes[0].open("wb") as first:
            second.write(large)
            first.write(large)

    threading.Thread(target=write, daemon=True).start()
    read = SourceReader(pipes, PIXELS)
    assert [read(pipe) for pipe in pipes] == [large, large]


def test_an_error_of_an_early_read_is_that_of_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"no image")))
    read = SourceReader([STDIN], PIXELS)
    with pytest.raises(UndecodableImage):
        read(STDIN)
    monkeypatch.setattr("sys.stdin", None)
    read = SourceReader([STDIN], PIXELS)
    with pytest.raises(OSError, match="standard input is closed"):
        read(STDIN)
