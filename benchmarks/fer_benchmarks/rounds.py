"""Paired rounds: the limit and the server measured right after each other, again and again.

The speed of a shared machine drifts. The ratio of two measurements of the same round is little affected by it.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from fer_benchmarks.limit import PipelineLimit
from fer_benchmarks.load import Load, multipart

ROUNDS = 7
BELOW_CAPACITY, OVERLOAD = 0.8, 1.2
OPEN_CONNECTIONS = 256  # for an open loop, whose requests do not wait for responses


@dataclass(frozen=True)
class Round:
    """Images per second in one round.

    Attributes:
        threads: Pipeline without HTTP, in threads.
        processes: Pipeline without HTTP, in processes.
        raw: Server with raw bodies, closed loop.
        multipart: Server with multipart bodies, closed loop.
        overload: Server with raw bodies at 120 % of `raw`, open loop.
        spread: p99 ÷ p50 of the latency at 80 % of `raw`, open loop; 0 without responses.
    """

    threads: float
    processes: float
    raw: float
    multipart: float
    overload: float
    spread: float

    def ratios(self) -> dict[str, float]:
        """Return the ratios of the server to the limit, which is the better of threads and processes."""
        limit = max(self.threads, self.processes)
        return {
            "service / limit": self.raw / limit,
            "service / limit, multipart": self.multipart / limit,
            f"answered at {OVERLOAD:.0%} / at capacity": self.overload / self.raw,
            f"p99 / p50 at {BELOW_CAPACITY:.0%} of capacity": self.spread,
        }


def measure_rounds(
    load: Load,
    threads: PipelineLimit,
    processes: PipelineLimit,
    data: bytes,
    path: str,
    *,
    concurrency: int,
    seconds: float,
) -> list[Round]:
    """Measure the limits and the server in seven rounds.

    Args:
        load: Load for the server.
        threads: Pipeline in threads.
        processes: Pipeline in processes.
        data: Encoded image.
        path: Path and query of the requests.
        concurrency: Connections of the closed loop.
        seconds: Duration of each measurement.

    Raises:
        StartError: The server does not answer, or a process of the limit ended.
    """
    body, content_type = multipart(data)
    closed = partial(load.run, path=path, seconds=seconds, concurrency=concurrency)
    opened = partial(load.run, path=path, seconds=seconds, concurrency=OPEN_CONNECTIONS)
    rounds = []
    for _ in range(ROUNDS):
        raw = closed(data).rate
        below = opened(data, rate=BELOW_CAPACITY * raw).milliseconds
        rounds.append(
            Round(
                threads=threads.rate(seconds),
                processes=processes.rate(seconds),
                raw=raw,
                multipart=closed(body, content_type=content_type).rate,
                overload=opened(data, rate=OVERLOAD * raw).rate,
                spread=below[2] / below[0] if below else 0.0,
            )
        )
    return rounds


def median_ratios(rounds: Sequence[Round]) -> dict[str, float]:
    """Return the median of each ratio over the rounds."""
    ratios = [one.ratios() for one in rounds]
    return {name: statistics.median(one[name] for one in ratios) for name in ratios[0]}
