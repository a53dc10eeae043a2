import pytest
from fer_benchmarks.memory import growth, slope

from tests.service.conftest import plain

REQUESTS = [1_000, 2_000, 3_000, 11_000, 12_000]


def test_growth_is_told_a_thousand_requests() -> None:
    assert slope(REQUESTS, [200 + answered / 1000 * 0.5 for answered in REQUESTS]) == pytest.approx(0.5)


def test_warming_up_is_no_growth() -> None:
    assert slope(REQUESTS, [100, 200, 200, 200, 200]) == pytest.approx(0, abs=1e-9)


def test_too_short_a_run_has_no_slope() -> None:
    assert slope([50], [100.0]) == 0


def test_a_real_servers_memory_is_read_after_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_DETECTOR", "haar")
    found = growth(3, {"face": (plain("lime"), False)}, turn_seconds=0.05)
    assert found.requests[-1] >= 3
    assert len(found.megabytes) == len(found.requests)
    assert 50 < found.megabytes[-1] <= found.peak
