"""What the line reaches without HTTP, by real threads and real processes."""

from pathlib import Path

import pytest
from fer_benchmarks.limit import Processes, Threads
from fer_service.analysis.analyzer import Options
from fer_service.contract.errors import StartError
from fer_service.contract.settings import Settings, load_settings

HAAR = {"detector": "haar", "device": "cpu"}


def test_threads_are_counted_together(astronaut_jpeg: bytes) -> None:
    threads = Threads(load_settings(**HAAR), astronaut_jpeg, Options(detect=False), 2)
    assert threads.rate(0.2) > 1


def test_processes_are_asked_again_and_again(astronaut_jpeg: bytes) -> None:
    with Processes(load_settings(**HAAR), astronaut_jpeg, Options(detect=False), 2) as processes:
        assert min(processes.rate(0.1) for _ in range(3)) > 1


def test_a_process_that_ends_too_soon_is_an_error_at_once(tmp_path: Path, astronaut_jpeg: bytes) -> None:
    settings: Settings = load_settings(model=str(tmp_path / "none.onnx"), **HAAR)
    with pytest.raises(StartError, match="ended with exit code 1"):
        Processes(settings, astronaut_jpeg, Options(), 2)
