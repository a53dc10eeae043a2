"""The whole benchmark for one image: kernels, limit, server; as numbers and JSON."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fer_service.analysis.analyzer import Options
from fer_service.analysis.loading import load
from fer_service.contract.errors import StartError
from fer_service.contract.settings import Settings

from fer_benchmarks.kernels import Kernels, kernels
from fer_benchmarks.limit import Processes, Threads
from fer_benchmarks.load import Result
from fer_benchmarks.server import Server, Usage
from fer_benchmarks.turns import BELOW, CONNECTIONS, OVERLOAD, Turn, ratios_of, take_turns

CONCURRENCY = (1, 2, 4, 8, 16)
OPEN_LOOP = (0.5, BELOW, OVERLOAD)
# There are many turns, so that each can be short.
TURN_SHARE = 0.4


@dataclass(frozen=True)
class Served:
    """A server under load.

    Attributes:
        closed: Results of the closed loop, by connections.
        open: Results of the open loop, by share of the capacity.
        usage: After all of it; None where the system does not tell.
        idle_cpu: Seconds of CPU a second with nobody asking; None likewise.
        cpu_milliseconds: An image took of the server's processes, at the concurrency that was fastest.
    """

    closed: dict[int, Result]
    open: dict[float, Result]
    usage: Usage | None
    idle_cpu: float | None
    cpu_milliseconds: float | None

    @property
    def best(self) -> int:
        """The number of connections at which it was fastest."""
        return max(self.closed, key=lambda concurrency: self.closed[concurrency].rate)


@dataclass(frozen=True)
class Report:
    """All about one image.

    Attributes:
        image: Its name.
        kernels: CPU milliseconds of the parts.
        turns: The limit without HTTP and the real server in turns; the ratios to the limit are theirs.
        served: The real server alone.
        ratios: Of one to another, by name.
    """

    image: str
    kernels: Kernels
    turns: list[Turn]
    served: Served
    ratios: dict[str, float] = field(default_factory=dict)


def benchmark(name: str, data: bytes, settings: Settings, options: Options, seconds: float) -> Report:
    """Measure one image.

    Args:
        name: Of the image.
        data: Its bytes.
        settings: Of the server; the parts run with one thread.
        options: What is asked for; only `detect` counts.
        seconds: Each measurement takes about so long.

    Raises:
        StartError: a setting, the model or the detector is not right.
        RequestError: the image cannot be answered.
    """
    single, count = settings.model_copy(update={"threads": 1}), settings.threads * settings.workers
    parts = kernels(load(single), data, options, seconds)
    threads = Threads(single, data, options, count)
    path = "/predict" if options.detect else "/predict?detect=false"
    with Processes(single, data, options, count) as processes, fer_server(settings) as server:
        served = under_load(server, data, path, seconds)
        turns = take_turns(
            server, threads, processes, data, path, concurrency=served.best, seconds=seconds * TURN_SHARE
        )
    ratios = {"outside kernels / line": parts.outside / parts.line, **ratios_of(turns)}
    return Report(name, parts, turns, served, {key: round(value, 3) for key, value in ratios.items()})


def fer_server(settings: Settings) -> Server:
    """The service itself, on a free port, with these settings."""
    return Server([sys.executable, "-m", "fer_service", "serve"], environment_of(settings))


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
    capacity = closed[best].rate
    opened = {
        share: server.load(data, path=path, seconds=seconds, concurrency=CONNECTIONS, rate=share * capacity)
        for share in OPEN_LOOP
    }
    return Served(closed, opened, server.usage(), idle, costs[best])


def as_json(report: Report) -> dict[str, Any]:
    """A report as JSON holds it."""
    return asdict(report)


def _cost(before: Usage | None, after: Usage | None, result: Result) -> float | None:
    answered = result.statuses.get(200, 0)
    return (after.cpu - before.cpu) / answered * 1e3 if before and after and answered else None
