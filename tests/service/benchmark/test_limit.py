"""What the line reaches without HTTP, by real threads and real processes."""

from pathlib import Path

import pytest

from service.analyzer import Options
from service.benchmark.limit import by_processes, by_threads
from service.errors import StartError
from service.settings import Settings, load_settings

HAAR = {"detector": "haar", "device": "cpu"}


@pytest.mark.parametrize("limit", [by_threads, by_processes])
def test_pictures_a_second_are_counted(limit: object, astronaut_jpeg: bytes) -> None:
    assert callable(limit)
    assert limit(load_settings(**HAAR), astronaut_jpeg, Options(detect=False), 2, 0.2) > 1


def test_a_process_that_ends_too_soon_is_an_error_at_once(tmp_path: Path, astronaut_jpeg: bytes) -> None:
    settings: Settings = load_settings(model=str(tmp_path / "none.onnx"), **HAAR)
    with pytest.raises(StartError, match="ended with exit code 1"):
        by_processes(settings, astronaut_jpeg, Options(), 2, 0.1)
