"""Prints a benchmark's report as tables."""

from rich.console import Console
from rich.table import Table

from fer_benchmarks.benchmark import Report
from fer_benchmarks.load import LoadResult
from fer_benchmarks.rounds import BELOW_CAPACITY, OVERLOAD, Round


def print_report(report: Report, console: Console) -> None:
    """Print the report of one image."""
    costs, served = report.kernels, report.served
    console.print(f"[bold]{report.image}[/bold]")
    console.print(
        f"CPU ms per image: decode {costs.decode:.2f}, detector {costs.detect:.2f}, "
        f"classifier {costs.classify:.2f}, overhead {costs.overhead:.2f}; pipeline {costs.pipeline:.2f}"
        + (f", server {served.cpu_milliseconds:.2f}" if served.cpu_milliseconds else "")
    )
    table = Table("load", "images/s", "p50 ms", "p95 ms", "p99 ms", "other statuses")
    for concurrency, result in served.closed.items():
        table.add_row(f"{concurrency} connections", *_cells(result))
    for share, result in served.open.items():
        table.add_row(f"{share:.0%} of capacity, open loop", *_cells(result))
    console.print(table)
    console.print(_rounds_table(report.rounds))
    for name, ratio in report.ratios.items():
        console.print(f"{name}: {ratio:.2f}")
    refused = served.open[OVERLOAD].refused_milliseconds
    if refused:
        console.print(f"latency of status 429: p50 {refused[0]:.1f} ms, p99 {refused[2]:.1f} ms")
    if served.usage and served.idle_cpu is not None:
        console.print(
            f"resident memory: {served.usage.memory:.0f} MiB, peak {served.usage.peak:.0f} MiB; "
            f"idle CPU: {served.idle_cpu * 100:.2f} % of a core"
        )


def _cells(result: LoadResult) -> tuple[str, ...]:
    times = [f"{value:.1f}" for value in result.milliseconds] or ["–"] * 3
    others = ", ".join(f"{count} × {status}" for status, count in result.statuses.items() if status != 200)
    return f"{result.rate:.1f}", *times, others


def _rounds_table(rounds: list[Round]) -> Table:
    table = Table(
        "limit, threads",
        "limit, processes",
        "server",
        "server, multipart",
        f"server at {OVERLOAD:.0%}",
        f"p99 ÷ p50 at {BELOW_CAPACITY:.0%}",
        title="paired rounds, images/s",
    )
    for one in rounds:
        rates = (one.threads, one.processes, one.raw, one.multipart, one.overload)
        table.add_row(*(f"{rate:.1f}" for rate in rates), f"{one.spread:.1f}")
    return table
