import importlib.util
import sys
from io import StringIO
from pathlib import Path

import pytest
from fer_benchmarks.peers.environments import PRODUCTS, PYTHON_PATH, SERVERS
from fer_benchmarks.peers.products import PIPELINE, SERVICE, Report, figures_of, print_report
from fer_benchmarks.peers.worker import Measurement
from fer_benchmarks.peers.worker_process import WorkerProcess
from fer_service.contract.errors import StartError
from rich.console import Console

COUNTS_FACES = """
from fer_benchmarks.peers.worker import run_worker
def analyze(image):
    print("output of the product")
    return len(open(image).read())
run_worker(analyze, "toy 1.0")
"""


def measurement(
    images: int, cpu: float | None = 1.0, faces: int | None = 1, peak: float | None = 100.0
) -> Measurement:
    return Measurement(images, 2.0, cpu, faces, peak)


def worker(program: str, patience: float = 60) -> WorkerProcess:
    return WorkerProcess("toy", [sys.executable, "-c", program], {"PYTHONPATH": PYTHON_PATH}, patience)


def make_rounds() -> list[dict[str, Measurement]]:
    """Return three rounds on a machine of varying speed."""
    return [
        {
            SERVICE: measurement(80 * speed, faces=None),
            PIPELINE: measurement(40 * speed, faces=7),
            "toy": measurement(4 * speed, faces=5),
        }
        for speed in (4, 2, 5)
    ]


def test_ratios_compare_measurements_of_the_same_round() -> None:
    mixed = make_rounds()
    mixed[0]["toy"] = measurement(32)  # one round with an unusual ratio
    figures = figures_of(mixed)["toy"]
    assert (figures.service_ratio, figures.pipeline_ratio) == (20.0, 10.0)


def test_rates_and_costs_are_medians() -> None:
    figures = figures_of(make_rounds())
    assert figures[SERVICE].rate == 160.0
    assert figures["toy"].rate == 8.0
    assert figures["toy"].cpu_milliseconds == 62.5
    assert figures[SERVICE].faces == 7
    assert figures["toy"].faces == 5


def test_the_report_has_versions_and_missing_subjects() -> None:
    unknown = [{name: measurement(4, None, 1, None) for name in (SERVICE, PIPELINE)} for _ in range(3)]
    report = Report({PIPELINE: "version 1"}, {"other": "exit code 1"}, {"a face": figures_of(unknown)})
    out = StringIO()
    print_report(report, Console(file=out, width=120))
    text = out.getvalue()
    assert "1.00" in text
    assert "–" in text
    assert f"{PIPELINE}: version 1" in text
    assert "other: not measured, exit code 1" in text


def test_a_products_own_output_does_not_mix_with_results(tmp_path: Path) -> None:
    image = tmp_path / "three"
    image.write_text("abc", encoding="utf-8")
    with worker(COUNTS_FACES) as product:
        assert product.about == "toy 1.0"
        first, second = product.measure(image, 0.01), product.measure(image, 0.0)
    assert first.faces == 3
    assert first.seconds >= 0.01
    assert second.images == 1


def test_a_product_that_fails_is_reported_with_its_last_line() -> None:
    with (
        pytest.raises(StartError, match="toy ended with exit code 1: ModuleNotFoundError"),
        worker("import nothing_"),
    ):
        pass


def test_a_product_that_hangs_is_killed() -> None:
    with pytest.raises(StartError, match="toy ended"), worker("input()", patience=0.2):
        pass


@pytest.mark.parametrize("module", [*(module for module, _ in SERVERS.values()), *PRODUCTS, "service_product"])
def test_every_peer_has_a_program(module: str) -> None:
    assert importlib.util.find_spec(f"fer_benchmarks.peers.{module}")
