"""The benchmark of one image: kernels, limit, and a real server under load."""

from dataclasses import dataclass
from typing import Protocol

from fer_service.analysis.loading import load
from fer_service.analysis.options import Options
from fer_service.contract.errors import StartError
from fer_service.contract.settings import Settings

from fer_benchmarks.kernels import KernelCosts, measure_kernels
from fer_benchmarks.limit import ProcessLimit, ThreadLimit, open_pipeline
from fer_benchmarks.load import Load, LoadResult, predict_path
from fer_benchmarks.rounds import (
    BELOW_CAPACITY,
    OPEN_CONNECTIONS,
    OVERLOAD,
    Round,
    measure_rounds,
    median_ratios,
)
from fer_benchmarks.server_process import Usage
from fer_benchmarks.service import running_service

CONCURRENCY = (1, 2, 4, 8, 16)
OPEN_LOOP = (0.5, BELOW_CAPACITY, OVERLOAD)
# The rounds are many, so each measurement in them can be short.
_ROUND_SHARE = 0.4


class ProcessUsage(Protocol):
    """Reads the resources that a server uses."""

    def usage(self) -> Usage | None:
        """Return CPU time and memory, or None if the system does not report them."""
        ...

    def idle_cpu(self, seconds: float) -> float | None:
        """Wait, and return CPU seconds per second; None if the system does not report them."""
        ...


@dataclass(frozen=True)
class ServerResult:
    """A server under load.

    Attributes:
        closed: Results of the closed loop by number of connections.
        open: Results of the open loop by share of the capacity.
        usage: Resources after all of it; None if the system does not report them.
        idle_cpu: CPU seconds per second without requests; None if the system does not report them.
        cpu_milliseconds: CPU milliseconds per image at the fastest concurrency; None if unknown.
    """

    closed: dict[int, LoadResult]
    open: dict[float, LoadResult]
    usage: Usage | None
    idle_cpu: float | None
    cpu_milliseconds: float | None

    @property
    def best_concurrency(self) -> int:
        """Number of connections with the highest rate."""
        return max(self.closed, key=lambda concurrency: self.closed[concurrency].rate)


@dataclass(frozen=True)
class Report:
    """The results for one image.

    Attributes:
        image: Name of the image.
        kernels: CPU milliseconds per image.
        rounds: Limit and server in paired rounds.
        served: Server alone.
        ratios: Medians by name.
    """

    image: str
    kernels: KernelCosts
    rounds: list[Round]
    served: ServerResult
    ratios: dict[str, float]


def benchmark(name: str, data: bytes, settings: Settings, options: Options, seconds: float) -> Report:
    """Measure one image.

    Args:
        name: Name of the image.
        data: Encoded image.
        settings: Settings of the server. Kernels and limit use one thread per session.
        options: Only `detect` is used.
        seconds: Approximate duration of each measurement.

    Raises:
        StartError: A setting, the model or the detector is invalid.
        RequestError: The image is refused.
    """
    single, count = settings.model_copy(update={"threads": 1}), settings.threads * settings.workers
    costs = measure_kernels(load(single), data, options, seconds)
    threads = ThreadLimit(open_pipeline(single, data, options), count)
    path = predict_path(options.detect)
    with ProcessLimit(single, data, options, count) as processes, running_service(settings) as server:
        served = measure_server(server.process, server.load, data, path, seconds)
        rounds = measure_rounds(
            server.load,
            threads,
            processes,
            data,
            path,
            concurrency=served.best_concurrency,
            seconds=seconds * _ROUND_SHARE,
        )
    ratios = {"overhead / pipeline": costs.overhead / costs.pipeline, **median_ratios(rounds)}
    return Report(name, costs, rounds, served, {key: round(value, 3) for key, value in ratios.items()})


def measure_server(process: ProcessUsage, load: Load, data: bytes, path: str, seconds: float) -> ServerResult:
    """Put a running server under closed and open load.

    Raises:
        StartError: The server does not answer the image with status 200.
    """
    first = load.run(data, path=path, seconds=min(seconds, 0.5), concurrency=4)
    if not first.answered:
        raise StartError(f"the server answers {path} with status {', '.join(map(str, first.statuses))}, not 200")
    idle = process.idle_cpu(seconds)
    closed, costs = {}, {}
    for concurrency in CONCURRENCY:
        before = process.usage()
        closed[concurrency] = load.run(data, path=path, seconds=seconds, concurrency=concurrency)
        costs[concurrency] = _cpu_milliseconds(before, process.usage(), closed[concurrency].answered)
    best = max(closed, key=lambda concurrency: closed[concurrency].rate)
    opened = {
        share: load.run(
            data, path=path, seconds=seconds, concurrency=OPEN_CONNECTIONS, rate=share * closed[best].rate
        )
        for share in OPEN_LOOP
    }
    return ServerResult(closed, opened, process.usage(), idle, costs[best])


def _cpu_milliseconds(before: Usage | None, after: Usage | None, answered: int) -> float | None:
    return (after.cpu - before.cpu) / answered * 1e3 if before and after and answered else None
