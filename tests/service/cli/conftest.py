from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from fer_service.cli.main import main


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
