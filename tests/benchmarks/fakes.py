"""Implementations of the benchmarks' Protocols with known results."""

from dataclasses import dataclass, field

from fer_benchmarks.load import LoadResult
from fer_benchmarks.server_process import Usage


class FakeClock:
    """Seconds that pass only when work is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class FakeServer:
    """A server that answers up to `capacity` images per second and takes `cpu` seconds for each."""

    capacity: dict[int, float]
    cpu: float = 0.01
    status: int = 200
    used: float = 0.0
    memory: list[float] = field(default_factory=lambda: [100.0])
    requests: list[tuple[str, str, int, float]] = field(default_factory=list)

    def run(
        self,
        body: bytes,
        *,
        path: str = "/predict",
        content_type: str = "image/jpeg",
        seconds: float,
        concurrency: int,
        rate: float = 0.0,
    ) -> LoadResult:
        self.requests.append((path, content_type, concurrency, rate))
        most = self.capacity.get(concurrency, max(self.capacity.values()))
        count = round(min(rate or most, most) * seconds)
        self.used += count * self.cpu
        return LoadResult(seconds, {self.status: count}, [10.0, 20.0, 30.0])

    def usage(self) -> Usage:
        memory = self.memory.pop(0) if len(self.memory) > 1 else self.memory[0]
        return Usage(self.used, memory, memory + 1)

    def idle_cpu(self, seconds: float) -> float:
        return 0.25
