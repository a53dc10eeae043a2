"""Which threads run the networks, and what they do before the first image."""

import asyncio
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest
from fer_service.analysis.analyzer import Analyzer, Options
from fer_service.analysis.executor import Executor, Timed
from fer_service.contract.boxes import Box
from fer_service.contract.errors import NotReady, ProviderError
from fer_service.contract.job import Job
from fer_service.detection.detector import Face
from fer_service.observability.metrics import Metrics
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from tests.fakes import FakeBatchDetector, FakeClassifier, FakeDetector
from tests.service.analysis.executors import LATER
from tests.service.conftest import SECONDS, Pixels, plain


def test_a_detector_on_a_gpu_looks_at_the_images_that_wait_in_one_run() -> None:
    detector, registry = FakeBatchDetector(), CollectorRegistry()
    analyzer = Analyzer(detector, FakeClassifier())
    executor = Executor(analyzer, Metrics(registry), threads=2, max_batch=4, batched=True)
    executor.start()
    assert detector.warmed == [4], "two threads wait for the GPU while two others decode"
    warming = detector.batches.copy()
    detector.batches.clear()
    while detector.began.acquire(blocking=False):
        pass

    async def scenario() -> list[Timed]:
        detector.free.clear()
        later = time.monotonic() + LATER
        asked = [asyncio.create_task(executor.predict(plain("red"), Options(), later))]
        assert await asyncio.to_thread(detector.began.acquire, timeout=SECONDS)
        asked += [asyncio.create_task(executor.predict(plain("red"), Options(), later)) for _ in range(3)]
        async with asyncio.timeout(SECONDS):
            while executor._detector is None or executor._detector._batcher.depth != 3:
                await asyncio.sleep(0.002)
        detector.free.set()
        return await asyncio.gather(*asked)

    answers = asyncio.run(scenario())
    assert [len(timed.prediction.faces) for timed in answers] == [1] * 4
    assert detector.batches == [1, 3]
    assert registry.get_sample_value("fer_detector_batch_size_count") == len(warming) + 2
    assert registry.get_sample_value("fer_detector_batch_size_sum") == sum(warming) + 4
    assert executor.alive
    executor.stop()
    assert not executor.alive
    with pytest.raises(NotReady, match="the detector's thread has ended"):
        executor.analyzer.analyze(plain("red"))


def test_a_detector_on_the_cpu_is_asked_by_each_thread_itself() -> None:
    detector, registry = FakeDetector(Face(Box(0, 0, 9, 9))), CollectorRegistry()
    executor = Executor(
        Analyzer(detector, FakeClassifier()), Metrics(registry), threads=1, max_batch=4, batched=True
    )
    assert executor.analyzer.detector is detector
    executor.start()
    executor.stop()
    assert registry.get_sample_value("fer_detector_batch_size_count") == 0


def test_the_network_is_warmed_by_the_thread_that_runs_it() -> None:
    threads: list[int] = []

    class Noted(FakeClassifier):
        def warm(self, max_batch: int) -> None:
            threads.append(threading.get_ident())
            super().warm(max_batch)

        def classify(self, crops: Sequence[Pixels], job: Job | None = None) -> NDArray[np.float32]:
            threads.append(threading.get_ident())
            return super().classify(crops, job)

    classifier = Noted()
    analyzer = Analyzer(FakeDetector(Face(Box(0, 0, 9, 9))), classifier)
    executor = Executor(analyzer, Metrics(CollectorRegistry()), threads=1, max_batch=4, batched=True)
    executor.start()
    threads[1:] = []  # what follows was the line's own first image
    asyncio.run(executor.predict(plain("red"), Options(), time.monotonic() + LATER))
    executor.stop()
    assert classifier.warmed == [4]
    assert threads[0] == threads[1] != threading.get_ident()


@pytest.mark.parametrize("batched", [True, False])
def test_a_network_that_cannot_be_run_stops_the_start(batched: bool) -> None:
    class Broken(FakeClassifier):
        def warm(self, max_batch: int) -> None:
            raise ProviderError("no cuDNN")

    analyzer = Analyzer(FakeDetector(), Broken())
    executor = Executor(analyzer, Metrics(CollectorRegistry()), threads=1, max_batch=4, batched=batched)
    with pytest.raises(ProviderError, match="no cuDNN"):
        executor.start()
    executor.stop()
