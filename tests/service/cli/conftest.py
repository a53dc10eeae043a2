import csv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from fer_service.cli.main import main

from tests.service.conftest import plain


class Ended(NamedTuple):
    """How a command ended and what it wrote."""

    status: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(
    tiny_bundle: Path, yunet_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command with the tiny bundle and a detector that sees one face everywhere."""
    environment = {"FER_MODEL": tiny_bundle, "FER_DETECTOR": yunet_file, "FER_DEVICE": "cpu", "COLUMNS": 200}
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))

    def command(*arguments: object) -> Ended:
        monkeypatch.setattr("sys.argv", ["fer-service", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        status = ended.value.code
        assert isinstance(status, int)
        return Ended(status, *capsys.readouterr())

    return command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images and other files in a folder and a subfolder; the current folder is the one above."""
    monkeypatch.chdir(tmp_path)
    contents = {
        "photos/b-red.jpg": plain("red"),
        "photos/a-green.JPG": plain("lime"),
        "photos/c-bad.png": b"no image",
        "photos/notes.txt": b"text",
        "photos/.hidden.jpg": plain("red"),
        "photos/more/b-red.jpg": plain("red"),
        "photos/.cache/d.jpg": plain("red"),
    }
    for name, content in contents.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "photos"


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def names(path: str) -> list[str]:
    return [row["file"] for row in rows(path)]
