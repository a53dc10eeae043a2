"""Measure the service with five test images.

    python -m fer_benchmarks.serving --out serving.json --plot serving.png

Compare the ratios: absolute times drift on shared machines.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from fer_service.analysis.options import Options
from fer_service.contract.settings import load_settings
from matplotlib.figure import Figure
from rich.console import Console

from fer_benchmarks.benchmark import Report, benchmark
from fer_benchmarks.images import make_images
from fer_benchmarks.tables import print_report


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.5, help="Duration of each measurement.")
    parser.add_argument("--quick", action="store_true", help="Measure one image, briefly, as a check.")
    parser.add_argument("--out", type=Path, help="Write the figures to this JSON file.")
    parser.add_argument("--plot", type=Path, help="Plot latency against throughput into this PNG file.")
    arguments = parser.parse_args()
    console, settings = Console(width=120), load_settings()
    reports = []
    for name, image in list(make_images().items())[: 1 if arguments.quick else None]:
        seconds = 0.2 if arguments.quick else arguments.seconds
        reports.append(benchmark(name, image.data, settings, Options(detect=image.detect), seconds))
        print_report(reports[-1], console)
    if arguments.out:
        figures = {"service": [asdict(report) for report in reports]}
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if arguments.plot:
        write_plot(reports, arguments.plot)


def write_plot(reports: list[Report], path: Path) -> None:
    """Plot latency against throughput of the closed loop, one line per image."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for report in reports:
        results = [result for result in report.served.closed.values() if result.milliseconds]
        rates = [result.rate for result in results]
        (line,) = axes.plot(rates, [result.milliseconds[0] for result in results], "o-", label=report.image)
        axes.plot(rates, [result.milliseconds[2] for result in results], ":", color=line.get_color())
    axes.set(xlabel="images per second", ylabel="milliseconds: median (solid), p99 (dotted)", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
