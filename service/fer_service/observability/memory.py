"""Memory metrics: resident memory of the service, and the limit of its container."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fer_service.system.memory import (
    CGROUP,
    PROC,
    descendants,
    machine_bytes,
    memory_limit,
    resident_bytes,
)


class MemoryCollector(Collector):
    """Reads the memory metrics at every scrape.

    Attributes:
        replicas: True if this process is one of several replicas that share a parent.
    """

    GAUGES: ClassVar = {
        "fer_memory_bytes": "Resident memory of the process, or of all replicas, with all child processes",
        "fer_memory_limit_bytes": "Memory limit of the container, or the memory of the machine if it is unlimited",
    }

    def __init__(self, *, replicas: bool, proc: Path = PROC, cgroup: Path = CGROUP) -> None:
        """Prepare.

        Args:
            replicas: True if this process is one of several replicas that share a parent.
            proc: Mount point of the proc file system; without it there is no resident memory.
            cgroup: Mount point of the control groups, version 2 or 1.
        """
        self.replicas = replicas
        self._proc = proc
        self._cgroup = cgroup

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges whose values are known."""
        pids = descendants(os.getppid() if self.replicas else os.getpid(), self._proc)
        limit = memory_limit(self._cgroup) or machine_bytes(self._proc)
        values = sum(resident_bytes(pid, self._proc) for pid in pids), limit
        for (name, text), value in zip(self.GAUGES.items(), values, strict=True):
            if value:
                yield GaugeMetricFamily(name, text, value)
