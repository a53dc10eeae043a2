import threading
from pathlib import Path

import pytest
from fer_benchmarks.limit import ProcessLimit, ThreadLimit
from fer_service.analysis.options import Options
from fer_service.contract.errors import StartError
from fer_service.contract.settings import load_settings

from tests.benchmarks.fakes import FakeClock


def test_the_rate_is_images_per_second() -> None:
    clock = FakeClock()
    assert ThreadLimit(lambda: clock.work(0.5), 1, clock).rate(2.0) == 2.0


def test_all_threads_run_at_the_same_time() -> None:
    barrier = threading.Barrier(3)
    limit = ThreadLimit(lambda: barrier.wait(30), 3, FakeStops())
    assert not barrier.broken
    assert limit.rate(0) > 0


class FakeStops(FakeClock):
    """Advances with every reading, so that each thread works once."""

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_processes_measure_again_and_again(tiny_bundle: Path, astronaut_jpeg: bytes) -> None:
    settings = load_settings(model=str(tiny_bundle), detector="haar", device="cpu", threads=1)
    with ProcessLimit(settings, astronaut_jpeg, Options(detect=False), 2) as processes:
        rates = [processes.rate(0.01) for _ in range(2)]
    assert min(rates) > 0


def test_a_process_that_ends_is_reported(tmp_path: Path, astronaut_jpeg: bytes) -> None:
    settings = load_settings(model=str(tmp_path / "missing.onnx"), detector="haar", device="cpu")
    with pytest.raises(StartError, match="ended with exit code 1"):
        ProcessLimit(settings, astronaut_jpeg, Options(), 1)
