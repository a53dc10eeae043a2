"""A executor around fakes, and what tests look at in it."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from fer_service.analysis.analyzer import Analyzer, Limits, Options
from fer_service.analysis.executor import Executor, Timed
from fer_service.detection.detector import Face
from fer_service.observability.metrics import Metrics
from prometheus_client import CollectorRegistry

from tests.fakes import FakeDetector
from tests.service.conftest import SECONDS, HeldClassifier

LATER = 3600.0


class Line:
    """A executor and the parts that a test looks at."""

    def __init__(
        self, *faces: Face, limits: Limits | None = None, max_batch: int = 8, batched: bool = True
    ) -> None:
        self.classifier = HeldClassifier()
        self.registry = CollectorRegistry()
        analyzer = Analyzer(FakeDetector(*faces), self.classifier, limits)
        self.executor = Executor(analyzer, Metrics(self.registry), threads=2, max_batch=max_batch, batched=batched)

    def __enter__(self) -> "Line":
        """Started, and with none of the batches that warmed it."""
        self.executor.start()
        self.classifier.batches.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self.classifier.free.set()
        self.executor.stop()

    def predict(
        self, data: bytes, options: Options | None = None, seconds: float = LATER
    ) -> Coroutine[Any, Any, Timed]:
        return self.executor.predict(data, options or Options(), time.monotonic() + seconds)

    async def waiting(self, count: int) -> None:
        """Until so many crops wait for the network."""
        async with asyncio.timeout(SECONDS):
            while self.value("fer_queue_depth") != count:
                await asyncio.sleep(0.002)  # a hot loop would starve the threads it waits for

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)
