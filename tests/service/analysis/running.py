"""An executor around fakes, and what tests look at in it."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from fer_service.analysis.analyzer import Analysis, Analyzer
from fer_service.analysis.executor import Executor
from fer_service.analysis.options import Limits, Options
from fer_service.contract.job import Job
from fer_service.detection.detector import Face
from fer_service.observability.metrics import Metrics
from prometheus_client import CollectorRegistry

from tests.fakes import FakeDetector
from tests.service.conftest import SECONDS, HeldClassifier

LATER = 3600.0
MEMORY = 2**30  # bytes for images in child processes


class Running:
    """An executor; `with` starts it and forgets the batches that warmed it."""

    def __init__(
        self,
        *faces: Face,
        limits: Limits | None = None,
        max_batch: int = 8,
        on_gpu: bool = False,
        threads: int = 2,
    ) -> None:
        self.classifier = HeldClassifier()
        self.classifier.on_gpu = on_gpu
        self.registry = CollectorRegistry()
        analyzer = Analyzer(FakeDetector(*faces), self.classifier, limits)
        self.executor = Executor(
            analyzer, Metrics(self.registry), threads=threads, max_batch=max_batch, decode_memory=MEMORY
        )

    def __enter__(self) -> "Running":
        self.executor.start()
        self.classifier.batches.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self.classifier.free.set()
        self.executor.stop()

    def run(
        self, data: bytes, options: Options | None = None, job: Job | None = None
    ) -> Coroutine[Any, Any, Analysis]:
        return self.executor.run(data, options or Options(), job or Job(time.monotonic() + LATER))

    async def queued(self, count: int) -> None:
        """Wait until so many images wait for a thread."""
        async with asyncio.timeout(SECONDS):
            while self.value("fer_queue_depth") != count:
                await asyncio.sleep(0.002)

    async def crops_queued(self, count: int) -> None:
        """Wait until so many crops wait for the classifier."""
        batched: Any = self.executor.analyzer.classifier
        async with asyncio.timeout(SECONDS):
            while batched.runs.depth != count:
                await asyncio.sleep(0.002)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)
