"""Damaged requests by the ten thousands against one server: answers, log, and memory over time."""

import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations
from urllib.parse import urlsplit

from fer_benchmarks.server_process import ServerProcess

from tests.campaign.abuse import DEFAULTS
from tests.campaign.bodies import send_from_processes
from tests.campaign.watch import Watch, resident

PEAK_MIB = 450.0
SLOPE_MIB = 0.02  # per 1,000 requests
_STEP = 2000  # requests between two measurements
_LEAST_POINTS = 30  # measurements, for a slope that says something: each is off by some MiB
_REST_SECONDS = 0.5


@dataclass
class FuzzResult:
    """What the requests did.

    Attributes:
        wanted: Number of requests asked for.
        seconds: Duration.
        outcomes: Number of requests by kind and status.
        faults: What does not hold.
        peak: Highest memory of the server with its child processes, in MiB.
        memory: Requests so far and memory of the server alone in MiB, after each step.
    """

    wanted: int
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    peak: float = 0.0
    memory: list[tuple[int, float]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Number of requests that were sent."""
        return self.outcomes.total()

    @property
    def slope(self) -> float | None:
        """MiB per 1,000 requests: the median slope of all pairs of measurements (Theil and Sen).

        The first third is left out, in which caches and the memory allocator fill. None if there are too few.
        """
        later = self.memory[len(self.memory) // 3 :]
        if len(later) < _LEAST_POINTS:
            return None
        return statistics.median(
            1000 * (after - before) / (number - earlier)
            for (earlier, before), (number, after) in combinations(later, 2)
        )


def fuzz(seed: int, count: int, seconds: float, processes: int = 2) -> FuzzResult:
    """Send damaged requests until they are enough or the time is over.

    Args:
        seed: Seed of the damage.
        count: Number of requests.
        seconds: Maximum duration.
        processes: Number of processes that send.
    """
    result, until = FuzzResult(count), time.monotonic() + seconds
    began = time.monotonic()
    with ServerProcess(DEFAULTS) as server, Watch(server) as watch:
        port = urlsplit(server.url).port or 0
        while result.count < count and (left := until - time.monotonic()) > 0 and not result.faults:
            step = min(_STEP, count - result.count)
            found = send_from_processes(port, seed, result.count, step, left, processes)
            result.outcomes.update(found.outcomes)
            result.faults += found.faults
            if server.process.poll() is not None:
                result.faults.append(f"the server ended with status {server.process.poll()}")
                break
            time.sleep(_REST_SECONDS)
            result.memory.append((result.count, resident(server.process.pid)))
        result.peak, log = watch.peak, server.log
    result.seconds = time.monotonic() - began
    if "Traceback" in log:
        result.faults.append("traceback in the log: " + log[log.index("Traceback") :][:2000])
    if result.peak > PEAK_MIB:
        result.faults.append(f"{result.peak:.0f} MiB, more than {PEAK_MIB:.0f}")
    if result.slope is not None and result.slope > SLOPE_MIB:
        result.faults.append(f"{result.slope:.3f} MiB more per 1,000 requests, more than {SLOPE_MIB}")
    return result
