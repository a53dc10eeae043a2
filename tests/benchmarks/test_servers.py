import sys

import pytest
from fer_benchmarks.load import LoadGenerator, LoadResult
from fer_benchmarks.peers.servers import SERVICE, server_figures, wait_until_answered
from fer_benchmarks.server_process import ServerProcess
from fer_benchmarks.service import MeasuredServer
from fer_service.contract.errors import StartError


def test_a_peer_that_ends_is_reported_with_its_log() -> None:
    with ServerProcess({}, [sys.executable, "-c", "exit('port in use')"], url="http://127.0.0.1:1") as process:
        process.process.wait()
        with pytest.raises(StartError, match="toy ended: port in use"):
            wait_until_answered("toy", MeasuredServer(process, LoadGenerator(process.url)), b"", "image/jpeg")


def test_ratios_compare_results_of_the_same_round() -> None:
    rounds = [
        {SERVICE: LoadResult(1.0, {200: 40 * speed}), "toy": LoadResult(1.0, {200: 10 * speed}, [1.0, 2.0, 3.0])}
        for speed in (4, 1, 2)
    ]
    with ServerProcess({}, [sys.executable, "-c", ""], url="http://127.0.0.1:1") as process:
        figures = server_figures("toy", rounds, MeasuredServer(process, LoadGenerator(process.url)), 0)
    assert (figures.rate, figures.ratio, figures.p50, figures.p99) == (20, 4, 1, 3)
