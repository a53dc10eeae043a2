import pytest
from fer_benchmarks.rounds import ROUNDS, Round, measure_rounds, median_ratios

from tests.benchmarks.fakes import FakeServer


class FakeLimit:
    def __init__(self, *rates: float) -> None:
        self.rates = list(rates)

    def rate(self, seconds: float) -> float:
        return self.rates.pop(0)


def test_ratios_use_the_better_limit() -> None:
    ratios = Round(threads=80, processes=100, raw=90, multipart=85, overload=81, spread=2).ratios()
    assert ratios == {
        "service / limit": 0.9,
        "service / limit, multipart": 0.85,
        "answered at 120% / at capacity": 0.9,
        "p99 / p50 at 80% of capacity": 2,
    }


def test_one_disturbed_round_does_not_change_the_medians() -> None:
    steady, disturbed = Round(100, 90, 90, 88, 90, 2), Round(100, 90, 20, 88, 20, 9)
    assert median_ratios([steady, disturbed, steady]) == steady.ratios()


def test_a_slower_machine_does_not_change_the_ratios() -> None:
    steady, halved = Round(100, 90, 90, 88, 90, 2), Round(50, 45, 45, 44, 45, 2)
    assert median_ratios([steady, halved]) == pytest.approx(steady.ratios())


def test_each_round_measures_the_server_and_both_limits() -> None:
    server = FakeServer({8: 100.0})
    threads, processes = FakeLimit(*range(1, 8)), FakeLimit(*range(11, 18))
    rounds = measure_rounds(server, threads, processes, b"image", "/predict", concurrency=8, seconds=1)
    assert len(rounds) == ROUNDS
    assert rounds[2] == Round(threads=3, processes=13, raw=100, multipart=100, overload=100, spread=3)
    assert [rate for *_, rate in server.requests[:4]] == [0.0, 80.0, 0.0, 120.0]
    types = [content_type.partition(";")[0] for _, content_type, *_ in server.requests[:4]]
    assert types == ["image/jpeg", "image/jpeg", "multipart/form-data", "image/jpeg"]
