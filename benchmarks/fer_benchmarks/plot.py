"""Latency against throughput, as an image."""

from pathlib import Path

from matplotlib.figure import Figure

from fer_benchmarks.run import Report


def write_plot(reports: list[Report], path: Path) -> None:
    """Latency against throughput of the closed loop, a line an image."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for report in reports:
        results = [result for result in report.served.closed.values() if result.milliseconds]
        rates = [result.rate for result in results]
        (line,) = axes.plot(rates, [result.milliseconds[0] for result in results], "o-", label=report.image)
        axes.plot(rates, [result.milliseconds[2] for result in results], ":", color=line.get_color())
    axes.set(xlabel="images a second", ylabel="milliseconds: median (solid), p99 (dotted)", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
