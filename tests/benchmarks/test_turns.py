import pytest
from fer_benchmarks.turns import Turn, ratios_of


def test_the_better_way_of_a_turn_is_its_limit() -> None:
    ratios = Turn(threads=80, processes=100, raw=90, form=85, over=81, spread=2).ratios()
    assert ratios["service / limit"] == pytest.approx(0.9)
    assert ratios["service / limit, multipart"] == pytest.approx(0.85)
    assert ratios["answered at 120% / at capacity"] == pytest.approx(0.9)


def test_a_slow_moment_of_the_machine_does_not_count() -> None:
    steady, disturbed = Turn(100, 90, 90, 88, 90, 2), Turn(100, 90, 20, 88, 20, 9)
    assert ratios_of([steady, disturbed, steady])["service / limit"] == pytest.approx(0.9)
    halved = Turn(50, 45, 45, 44, 45, 2)
    assert ratios_of([steady, halved]) == pytest.approx(ratios_of([steady]))
