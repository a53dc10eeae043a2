from pathlib import Path

from fer_benchmarks.benchmark import Report, measure_server
from fer_benchmarks.kernels import KernelCosts
from fer_benchmarks.rounds import Round, median_ratios
from fer_benchmarks.serving import write_plot
from fer_benchmarks.tables import print_report
from rich.console import Console

from tests.benchmarks.fakes import FakeServer


def make_report() -> Report:
    server = FakeServer({1: 10.0, 2: 20.0, 4: 30.0, 8: 25.0, 16: 20.0})
    served = measure_server(server, server, b"image", "/predict", 1)
    rounds = [Round(80, 100, 90, 85, 81, 2)]
    return Report("astronaut.jpg", KernelCosts(1, 3, 2, 6.5), rounds, served, median_ratios(rounds))


def test_the_tables_have_the_costs_rates_and_ratios() -> None:
    console = Console(width=120, record=True)
    print_report(make_report(), console)
    text = console.export_text()
    assert "decode 1.00, detector 3.00, classifier 2.00, overhead 0.50; pipeline 6.50, server 10.00" in text
    assert "120% of capacity, open loop" in text
    assert "service / limit: 0.90" in text
    assert "idle CPU: 25.00 % of a core" in text


def test_the_plot_is_a_png(tmp_path: Path) -> None:
    path = tmp_path / "serving.png"
    write_plot([make_report()], path)
    assert path.read_bytes().startswith(b"\x89PNG")
