import sys
from io import StringIO
from pathlib import Path

import pytest
from fer_benchmarks.peers.process import ProductProcess
from fer_benchmarks.peers.turn import Turn
from fer_benchmarks.products import LINE, SERVICE, Report, figures_of, print_report
from fer_service.contract.errors import StartError
from rich.console import Console

ROOT = Path(__file__).parents[2]
COUNTS_FACES = """
from fer_benchmarks.peers.in_process import take_turns
def analyze(image):
    print("a product that is talkative")
    return len(open(image).read())
take_turns(analyze, "toy 1.0")
"""


def turn(images: int, cpu: float | None = 1.0, faces: int | None = 1, peak: float | None = 100.0) -> Turn:
    return Turn(images, 2.0, cpu, faces, peak)


def process(program: str, patience: float = 60) -> ProductProcess:
    return ProductProcess("toy", [sys.executable, "-c", program], {"PYTHONPATH": str(ROOT)}, patience)


def rounds() -> list[dict[str, Turn]]:
    """The machine is half as fast in the second round."""
    return [
        {SERVICE: turn(80 * speed, faces=None), LINE: turn(40 * speed, faces=7), "toy": turn(4 * speed, faces=5)}
        for speed in (4, 2, 5)
    ]


def test_ratios_compare_turns_of_one_round() -> None:
    mixed = rounds()
    mixed[0]["toy"] = turn(32)  # ten times as many as the service would be behind
    figures = figures_of(mixed)["toy"]
    assert (figures.service_ratio, figures.line_ratio) == (20.0, 10.0)


def test_rates_and_costs_are_those_of_the_median_round() -> None:
    figures = figures_of(rounds())
    assert figures[SERVICE].rate == 160.0
    assert figures["toy"].rate == 8.0
    assert figures["toy"].cpu_milliseconds == 62.5
    assert figures[SERVICE].faces == 7
    assert figures["toy"].faces == 5


def test_the_table_tells_subjects_versions_and_what_did_not_run() -> None:
    unknown = [{name: turn(4, None, 1, None) for name in (SERVICE, LINE)} for _ in range(3)]
    report = Report({LINE: "version 1"}, {"other": "it ended"}, {"a face": figures_of(unknown)})
    out = StringIO()
    print_report(report, Console(file=out, width=120))
    text = out.getvalue()
    assert "1.00" in text
    assert "–" in text
    assert f"{LINE}: version 1" in text
    assert "other: not measured, it ended" in text


def test_a_product_answers_turns_whatever_it_prints(tmp_path: Path) -> None:
    image = tmp_path / "three"
    image.write_text("abc", encoding="utf-8")
    with process(COUNTS_FACES) as product:
        assert product.about == "toy 1.0"
        first, second = product.turn(image, 0.01), product.turn(image, 0.0)
    assert first.faces == 3
    assert first.seconds >= 0.01
    assert second.images == 1


def test_a_product_that_does_not_start_is_told_with_its_last_line() -> None:
    with (
        pytest.raises(StartError, match="toy ended with exit code 1: ModuleNotFoundError"),
        process("import nothing_"),
    ):
        pass


def test_a_product_that_hangs_is_ended() -> None:
    with pytest.raises(StartError, match="toy ended"), process("input()", patience=0.2):
        pass
