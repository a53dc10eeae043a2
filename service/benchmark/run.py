"""The whole benchmark for one picture: kernels, limit, server; as numbers, JSON and a table."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from service.analyzer import Options
from service.benchmark.kernels import Kernels, kernels
from service.benchmark.limit import by_processes, by_threads
from service.benchmark.load import Result
from service.benchmark.server import Server, Usage, multipart
from service.errors import StartError
from service.loading import load
from service.settings import Settings

CONCURRENCY = (1, 2, 4, 8, 16)
OPEN_LOOP = (0.5, 0.8, 1.2)


@dataclass(frozen=True)
class Served:
    """A server under load.

    Attributes:
        closed: Results of the closed loop, by connections.
        form: The same load with a multipart body, at the concurrency that was fastest.
        open: Results of the open loop, by share of the capacity.
        usage: After all of it; None where the system does not tell.
        idle_cpu: Seconds of CPU a second with nobody asking; None likewise.
        cpu_milliseconds: A picture took of the server's processes, at the concurrency that was fastest.
    """

    closed: dict[int, Result]
    form: Result
    open: dict[float, Result]
    usage: Usage | None
    idle_cpu: float | None
    cpu_milliseconds: float | None

    @property
    def capacity(self) -> float:
        """Pictures a second at the concurrency that was fastest."""
        return max(result.rate for result in self.closed.values())

    def ratios(self) -> dict[str, float]:
        """How it bears load: the spread of its times below capacity, and what it still answers above it."""
        below, above = self.open[OPEN_LOOP[1]], self.open[OPEN_LOOP[-1]]
        found = {f"answered at {OPEN_LOOP[-1]:.0%} / capacity": above.rate / self.capacity}
        if below.milliseconds:
            found[f"p99 / p50 at {OPEN_LOOP[1]:.0%}"] = below.milliseconds[2] / below.milliseconds[0]
        return found


@dataclass(frozen=True)
class Report:
    """All about one picture.

    Attributes:
        picture: Its name.
        kernels: CPU milliseconds of the parts.
        limit: Pictures a second without HTTP, by way: threads or processes, as many as there are cores; mean of
            what was measured before and after the server.
        served: The real server.
    """

    picture: str
    kernels: Kernels
    limit: dict[str, float]
    served: Served
    ratios: dict[str, float] = field(default_factory=dict)


def benchmark(name: str, data: bytes, settings: Settings, options: Options, seconds: float) -> Report:
    """Measure one picture.

    Args:
        name: Of the picture.
        data: Its bytes.
        settings: Of the server; the parts run with one thread.
        options: What is asked for; only `detect` counts.
        seconds: Each measurement takes about so long.

    Raises:
        StartError: a setting, the model or the detector is not right.
        RequestError: the picture cannot be answered.
    """
    single = settings.model_copy(update={"threads": 1})
    parts = kernels(load(single), data, options, seconds)
    path = "/predict" if options.detect else "/predict?detect=false"
    with fer_server(settings) as server:
        before = _limit(single, data, options, settings.threads, seconds)
        served = under_load(server, data, path, seconds)
        after = _limit(single, data, options, settings.threads, seconds)
    # A shared machine's speed drifts: what was seen on either side of the server's turn counts half.
    limit = {way: (before[way] + after[way]) / 2 for way in before}
    best = max(limit.values())
    ratios = {
        "outside kernels / line": parts.outside / parts.line,
        "service / limit": served.capacity / best,
        "service / limit, multipart": served.form.rate / best,
        **served.ratios(),
    }
    return Report(name, parts, limit, served, {key: round(value, 3) for key, value in ratios.items()})


def _limit(settings: Settings, data: bytes, options: Options, count: int, seconds: float) -> dict[str, float]:
    return {
        "threads": by_threads(settings, data, options, count, seconds),
        "processes": by_processes(settings, data, options, count, seconds),
    }


def fer_server(settings: Settings) -> Server:
    """The service itself, on a free port, with these settings."""
    return Server([sys.executable, "-m", "service", "serve"], environment_of(settings))


def environment_of(settings: Settings) -> Mapping[str, str]:
    """The variables that make these settings, on a free port."""
    given = settings.model_dump(exclude={"host", "port", "log_level", "log_format"}, exclude_defaults=True)
    variables = {f"FER_{name.upper()}": str(value) for name, value in given.items()}
    return variables | {
        "FER_HOST": "127.0.0.1",
        "FER_PORT": "0",
        "FER_LOG_LEVEL": "info",
        "FER_LOG_FORMAT": "console",
    }


def under_load(server: Server, data: bytes, path: str, seconds: float) -> Served:
    """Put a running server under closed and open load."""
    first = server.load(data, path=path, seconds=min(seconds, 0.5), concurrency=4)
    if not first.statuses.get(200):
        raise StartError(f"the server answers {path} with status {', '.join(map(str, first.statuses))}, not 200")
    idle = server.idle_cpu(seconds)
    closed, costs = {}, {}
    for concurrency in CONCURRENCY:
        before = server.usage()
        closed[concurrency] = server.load(data, path=path, seconds=seconds, concurrency=concurrency)
        costs[concurrency] = _cost(before, server.usage(), closed[concurrency])
    best = max(closed, key=lambda concurrency: closed[concurrency].rate)
    body, content_type = multipart(data)
    form = server.load(body, path=path, content_type=content_type, seconds=seconds, concurrency=best)
    capacity = closed[best].rate
    opened = {
        share: server.load(data, path=path, seconds=seconds, concurrency=256, rate=share * capacity)
        for share in OPEN_LOOP
    }
    return Served(closed, form, opened, server.usage(), idle, costs[best])


def as_json(report: Report) -> dict[str, Any]:
    """A report as JSON holds it."""
    return asdict(report)


def print_report(report: Report, console: Console) -> None:
    """A report as tables for people."""
    parts, served = report.kernels, report.served
    console.print(f"[bold]{report.picture}[/bold]")
    console.print(
        f"CPU ms a picture: decode {parts.decode:.2f}, detector {parts.detect:.2f}, "
        f"classifier {parts.classify:.2f}, outside these {parts.outside:.2f}; the line {parts.line:.2f}"
        + (f", served {served.cpu_milliseconds:.2f}" if served.cpu_milliseconds else "")
    )
    console.print("limit, pictures/s: " + ", ".join(f"{way} {rate:.1f}" for way, rate in report.limit.items()))
    table = Table("load", "pictures/s", "p50 ms", "p95", "p99", "other statuses")
    for concurrency, result in served.closed.items():
        table.add_row(f"{concurrency} connections", *_cells(result))
    table.add_row("the same, multipart", *_cells(served.form))
    for share, result in served.open.items():
        table.add_row(f"{share:.0%} of capacity, open loop", *_cells(result))
    console.print(table)
    for name, ratio in report.ratios.items():
        console.print(f"{name}: {ratio:.2f}")
    refused = served.open[OPEN_LOOP[-1]].refused_milliseconds
    if refused:
        console.print(f"refused with 429 after {refused[0]:.1f} ms, p99 {refused[2]:.1f}")
    if served.usage and served.idle_cpu is not None:
        console.print(
            f"resident: {served.usage.memory:.0f} MiB, at most {served.usage.peak:.0f}; "
            f"idle: {served.idle_cpu * 100:.2f} % of a core"
        )


def _cost(before: Usage | None, after: Usage | None, result: Result) -> float | None:
    answered = result.statuses.get(200, 0)
    return (after.cpu - before.cpu) / answered * 1e3 if before and after and answered else None


def _cells(result: Result) -> tuple[str, ...]:
    times = [f"{value:.1f}" for value in result.milliseconds] or ["–"] * 3
    others = ", ".join(f"{count} × {status}" for status, count in result.statuses.items() if status != 200)
    return f"{result.rate:.1f}", *times, others
