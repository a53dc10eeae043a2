"""The server and the limit in turns of moments, so that a machine whose speed drifts shows both the same state."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from fer_benchmarks.limit import Processes, Threads
from fer_benchmarks.server import Server, multipart

TURNS = 7
BELOW, OVERLOAD = 0.8, 1.2
CONNECTIONS = 256  # of an open loop, where requests are due whether others are answered or not


@dataclass(frozen=True)
class Turn:
    """Images a second, measured one right after the other.

    Attributes:
        threads: The line without HTTP, by threads.
        processes: Likewise by processes.
        raw: The server's answers to raw bodies, closed loop.
        form: To multipart bodies.
        over: To raw bodies that are due at 120 % of `raw`.
        spread: p99 ÷ p50 of the answers' times to raw bodies that are due at 80 % of `raw`; 0 without any.
    """

    threads: float
    processes: float
    raw: float
    form: float
    over: float
    spread: float

    def ratios(self) -> dict[str, float]:
        """Of the server to the limit, the better of the two."""
        limit = max(self.threads, self.processes)
        return {
            "service / limit": self.raw / limit,
            "service / limit, multipart": self.form / limit,
            f"answered at {OVERLOAD:.0%} / at capacity": self.over / self.raw,
            f"p99 / p50 at {BELOW:.0%} of capacity": self.spread,
        }


def take_turns(
    server: Server,
    threads: Threads,
    processes: Processes,
    data: bytes,
    path: str,
    *,
    concurrency: int,
    seconds: float,
) -> list[Turn]:
    """Measure everything for so many seconds, seven times.

    Raises:
        StartError: the server left a request without an answer, or a process of the limit ended.
    """
    body, content_type = multipart(data)
    turns = []
    closed = partial(server.load, path=path, seconds=seconds, concurrency=concurrency)
    due = partial(server.load, path=path, seconds=seconds, concurrency=CONNECTIONS)
    for _ in range(TURNS):
        raw = closed(data).rate
        below = due(data, rate=BELOW * raw).milliseconds
        turns.append(
            Turn(
                threads=threads.rate(seconds),
                processes=processes.rate(seconds),
                raw=raw,
                form=closed(body, content_type=content_type).rate,
                over=due(data, rate=OVERLOAD * raw).rate,
                spread=below[2] / below[0] if below else 0.0,
            )
        )
    return turns


def ratios_of(turns: Sequence[Turn]) -> dict[str, float]:
    """The median of each ratio over the turns."""
    every = [turn.ratios() for turn in turns]
    return {name: statistics.median(ratios[name] for ratios in every) for name in every[0]}
