"""How much memory the service uses, and how much it may use."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CGROUP: Final = Path("/sys/fs/cgroup")
# Version 1 says that there is no limit with a number near 2**63, rounded to pages.
_NO_LIMIT = 2**60


class MemoryCollector(Collector):
    """Resident memory of the process or of all replicas together, and the container's limit, read when scraped.

    Attributes:
        replicas: Whether this process is one of several that share a parent.
    """

    GAUGES: ClassVar = {
        "fer_memory_bytes": "Resident memory of the process, or of all replicas and their parent",
        "fer_memory_limit_bytes": "The container's memory limit; absent where there is none",
    }

    def __init__(self, *, replicas: bool, proc: Path = Path("/proc"), cgroup: Path = CGROUP) -> None:
        """Prepare.

        Args:
            replicas: Whether this process is one of several that share a parent.
            proc: Where Linux shows its processes; nothing is told where there is none.
            cgroup: Where the control groups are mounted, version 2 or 1.
        """
        self.replicas = replicas
        self._proc = proc
        self._cgroup = cgroup

    def collect(self) -> Iterable[Metric]:
        """The gauges, as far as they are known."""
        values = sum(map(self._resident, self._pids())), memory_limit(self._cgroup)
        for (name, text), value in zip(self.GAUGES.items(), values, strict=True):
            if value:
                yield GaugeMetricFamily(name, text, value)

    def _pids(self) -> list[int]:
        if not self.replicas:
            return [os.getpid()]
        parent = os.getppid()
        try:
            listed = (self._proc / f"{parent}/task/{parent}/children").read_text()
        except OSError:
            return [os.getpid()]
        return [parent, *map(int, listed.split())]

    def _resident(self, pid: int) -> int:
        """Bytes (proc(5), statm: the second number, in pages)."""
        try:
            pages = (self._proc / str(pid) / "statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


def memory_limit(cgroup: Path = CGROUP) -> int | None:
    """Bytes that the container may use; None where it has no limit.

    Args:
        cgroup: Where the control groups are mounted (version 2: `memory.max`; version 1: `memory/memory.limit_*`).
    """
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limit = int((cgroup / name).read_text())
        except (OSError, ValueError):  # "max": no limit
            continue
        return limit if limit < _NO_LIMIT else None
    return None
