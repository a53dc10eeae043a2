import pytest
from fer_benchmarks.benchmark import measure_server
from fer_service.contract.errors import StartError

from tests.benchmarks.fakes import FakeServer

CAPACITY = {1: 20.0, 2: 40.0, 4: 50.0, 8: 45.0, 16: 40.0}


def test_the_open_loop_gets_shares_of_the_best_closed_rate() -> None:
    server = FakeServer(CAPACITY)
    result = measure_server(server, server, b"image", "/predict", 2)
    assert result.best_concurrency == 4
    assert {concurrency: one.rate for concurrency, one in result.closed.items()} == CAPACITY
    assert [rate for *_, rate in server.requests if rate] == [25.0, 40.0, 60.0]
    assert result.open[1.2].rate == 50


def test_cpu_time_counts_per_answered_image() -> None:
    server = FakeServer(CAPACITY, cpu=0.03)
    result = measure_server(server, server, b"image", "/predict", 2)
    assert result.cpu_milliseconds == pytest.approx(30)
    assert result.idle_cpu == 0.25


def test_a_server_that_refuses_the_image_is_an_error() -> None:
    server = FakeServer(CAPACITY, status=401)
    with pytest.raises(StartError, match="answers /predict with status 401"):
        measure_server(server, server, b"image", "/predict", 2)
