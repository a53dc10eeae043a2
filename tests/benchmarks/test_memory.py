import pytest
from fer_benchmarks.images import SampleImage
from fer_benchmarks.memory import measure_growth, slope

from tests.benchmarks.fakes import FakeServer

REQUESTS = [1_000, 2_000, 3_000, 11_000, 12_000]
IMAGES = [SampleImage(b"large"), SampleImage(b"face", detect=False)]


def test_growth_is_per_thousand_requests() -> None:
    assert slope(REQUESTS, [200 + answered / 1000 * 0.5 for answered in REQUESTS]) == pytest.approx(0.5)


def test_warm_up_is_not_growth() -> None:
    assert slope(REQUESTS, [100, 200, 200, 200, 200]) == pytest.approx(0, abs=1e-9)


def test_one_reading_has_no_slope() -> None:
    assert slope([50], [100.0]) == 0


def test_memory_is_read_after_each_rotation_of_the_images() -> None:
    server = FakeServer({8: 500.0}, memory=[100, 101, 102])
    growth = measure_growth(server, server.usage, IMAGES, 2_500, 1)
    assert growth.requests == [1000, 2000, 3000]
    assert growth.megabytes == [100, 101, 102]
    assert growth.slope == pytest.approx(1)
    assert growth.peak == 103
    assert [path for path, *_ in server.requests] == ["/predict", "/predict?detect=false"] * 3


def test_a_server_without_answers_is_an_error() -> None:
    server = FakeServer({8: 500.0}, status=503)
    with pytest.raises(RuntimeError, match="answers no image"):
        measure_growth(server, server.usage, IMAGES, 10, 1)
