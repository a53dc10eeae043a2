"""A benchmark's report as tables for people."""

from rich.console import Console
from rich.table import Table

from fer_benchmarks.load import Result
from fer_benchmarks.run import Report
from fer_benchmarks.turns import BELOW, OVERLOAD, Turn


def print_report(report: Report, console: Console) -> None:
    """Print all about one image."""
    parts, served = report.kernels, report.served
    console.print(f"[bold]{report.image}[/bold]")
    console.print(
        f"CPU ms an image: decode {parts.decode:.2f}, detector {parts.detect:.2f}, "
        f"classifier {parts.classify:.2f}, outside these {parts.outside:.2f}; the line {parts.line:.2f}"
        + (f", served {served.cpu_milliseconds:.2f}" if served.cpu_milliseconds else "")
    )
    table = Table("load", "images/s", "p50 ms", "p95", "p99", "other statuses")
    for concurrency, result in served.closed.items():
        table.add_row(f"{concurrency} connections", *_cells(result))
    for share, result in served.open.items():
        table.add_row(f"{share:.0%} of capacity, open loop", *_cells(result))
    console.print(table)
    console.print(_turns(report.turns))
    for name, ratio in report.ratios.items():
        console.print(f"{name}: {ratio:.2f}")
    refused = served.open[OVERLOAD].refused_milliseconds
    if refused:
        console.print(f"refused with 429 after {refused[0]:.1f} ms, p99 {refused[2]:.1f}")
    if served.usage and served.idle_cpu is not None:
        console.print(
            f"resident: {served.usage.memory:.0f} MiB, at most {served.usage.peak:.0f}; "
            f"idle: {served.idle_cpu * 100:.2f} % of a core"
        )


def _cells(result: Result) -> tuple[str, ...]:
    times = [f"{value:.1f}" for value in result.milliseconds] or ["–"] * 3
    others = ", ".join(f"{count} × {status}" for status, count in result.statuses.items() if status != 200)
    return f"{result.rate:.1f}", *times, others


def _turns(turns: list[Turn]) -> Table:
    title = "in turns, images/s"
    shares = f"at {OVERLOAD:.0%}", f"p99 ÷ p50 at {BELOW:.0%}"
    table = Table("limit by threads", "by processes", "served", "multipart", *shares, title=title)
    for turn in turns:
        rates = (turn.threads, turn.processes, turn.raw, turn.form, turn.over)
        table.add_row(*(f"{rate:.1f}" for rate in rates), f"{turn.spread:.1f}")
    return table
