import pytest
from fer_benchmarks.images import make_images
from fer_benchmarks.options import PLAIN, Cost, measure, requests_for
from fer_benchmarks.server_process import ServerProcess

from tests.e2e.server import SETTINGS


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    plain, own = Cost([10.0, 20.0, 10.0]), Cost([11.0, 24.0, 30.0])
    assert own.ratio(plain) == pytest.approx(1.2)


def test_every_kind_of_request_is_answered_and_measured() -> None:
    data = make_images()["640×480, one face"].data
    with ServerProcess(SETTINGS | {"FER_DETECTOR": "own"}) as server:
        costs = measure(server, data, rounds=2, seconds=0.03)
    assert list(costs) == list(requests_for(data, []))
    assert all(len(cost.milliseconds) == 2 for cost in costs.values())
    assert costs["draw=blur, JPEG"].ratio(costs[PLAIN]) > 1
