"""The executor on a GPU, where images share the runs of the networks."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from fer_service.analysis.analyzer import Analysis, Analyzer
from fer_service.analysis.executor import Executor
from fer_service.analysis.options import Limits, Options
from fer_service.contract.boxes import Box
from fer_service.contract.errors import DeadlineExceeded, NotReady
from fer_service.contract.job import Job, Stage
from fer_service.detection.batched import BatchedDetector
from fer_service.detection.detector import Face
from fer_service.detection.orientations import Orientations
from fer_service.detection.scales import Scales
from fer_service.observability.metrics import Metrics
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from tests.fakes import FakeBatchDetector, FakeClassifier, FakeDetector
from tests.service.analysis.running import MEMORY, Running
from tests.service.conftest import SECONDS, Pixels, plain

FACE = Face(Box(0, 0, 60, 60))


@pytest.fixture
def running() -> Iterator[Running]:
    with Running(FACE, on_gpu=True) as made:
        yield made


def test_images_that_wait_for_the_classifier_share_its_next_run(running: Running) -> None:
    jobs = [Job() for _ in range(4)]

    async def scenario() -> list[Analysis]:
        running.classifier.hold()
        first = asyncio.create_task(running.run(plain("red"), job=jobs[0]))
        await running.classifier.busy()
        others = [
            asyncio.create_task(running.run(plain(colour), job=job))
            for colour, job in zip(("lime", "blue", "red"), jobs[1:], strict=True)
        ]
        await running.crops_queued(3)
        await asyncio.sleep(0.2)
        running.classifier.free.set()
        return await asyncio.gather(first, *others)

    answers = asyncio.run(scenario())
    assert [each.prediction.faces[0].emotion for each in answers] == ["angry", "happy", "neutral", "angry"]
    assert running.classifier.batches == [1, 3]
    # Waiting is not running: it counts as queue, whichever network was waited for.
    assert all(job.seconds[Stage.QUEUE] >= 0.2 > job.seconds[Stage.INFER] for job in jobs[1:])
    assert list(jobs[0].seconds) == ["queue", "decode", "detect", "crop", "infer"]


def test_a_face_past_its_deadline_is_not_classified(running: Running) -> None:
    async def scenario() -> None:
        running.classifier.hold()
        first = asyncio.create_task(running.run(plain("red")))
        await running.classifier.busy()
        late = asyncio.create_task(running.run(plain("lime"), job=Job(time.monotonic() + 0.3)))
        await running.crops_queued(1)
        await asyncio.sleep(0.31)
        running.classifier.free.set()
        with pytest.raises(DeadlineExceeded, match="request timed out while waiting for the classifier"):
            await late
        await first

    asyncio.run(scenario())
    assert running.classifier.batches == [1]


def test_a_cancelled_request_is_not_classified(running: Running) -> None:
    async def scenario() -> None:
        running.classifier.hold()
        first = asyncio.create_task(running.run(plain("red")))
        await running.classifier.busy()
        gone = asyncio.create_task(running.run(plain("lime")))
        await running.crops_queued(1)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        running.classifier.free.set()
        await first
        await running.run(plain("blue"))

    asyncio.run(scenario())
    assert running.classifier.batches == [1, 1]


def test_an_image_may_need_several_batches() -> None:
    faces = [Face(Box(n, n, 20, 20)) for n in range(10)]
    with Running(*faces, limits=Limits(max_faces=10), max_batch=4, on_gpu=True) as running:
        analysis = asyncio.run(running.run(plain("red")))
        assert len(analysis.prediction.faces) == 10
        assert running.classifier.batches == [4, 4, 2]


def test_the_classifier_runs_in_the_thread_that_warmed_it() -> None:
    threads: list[int] = []

    class Noted(FakeClassifier):
        def warm(self, max_batch: int) -> None:
            threads.append(threading.get_ident())
            super().warm(max_batch)

        def classify(self, crops: Sequence[Pixels], job: Job | None = None) -> NDArray[np.float32]:
            threads.append(threading.get_ident())
            return super().classify(crops, job)

    classifier = Noted()
    executor = Executor(
        Analyzer(FakeDetector(FACE), classifier),
        Metrics(CollectorRegistry()),
        threads=1,
        max_batch=4,
        decode_memory=MEMORY,
    )
    executor.start()
    asyncio.run(executor.run(plain("red"), Options(), Job()))
    executor.stop()
    assert classifier.warmed == [4]
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


def test_images_share_the_runs_of_the_detector() -> None:
    detector, registry = FakeBatchDetector(), CollectorRegistry()
    executor = Executor(
        Analyzer(detector, FakeClassifier()), Metrics(registry), threads=2, max_batch=4, decode_memory=MEMORY
    )
    executor.start()
    assert detector.warmed == [4], "two threads wait for the GPU while two others decode"
    detector.batches.clear()
    while detector.began.acquire(blocking=False):
        pass

    async def scenario() -> list[Analysis]:
        detector.free.clear()
        tasks = [asyncio.create_task(executor.run(plain("red"), Options(), Job()))]
        assert await asyncio.to_thread(detector.began.acquire, timeout=SECONDS)
        tasks += [asyncio.create_task(executor.run(plain("red"), Options(), Job())) for _ in range(3)]
        batched = executor.analyzer.detector
        async with asyncio.timeout(SECONDS):
            while batched.runs.depth != 3:  # type: ignore[attr-defined]
                await asyncio.sleep(0.002)
        detector.free.set()
        return await asyncio.gather(*tasks)

    answers = asyncio.run(scenario())
    assert [len(analysis.prediction.faces) for analysis in answers] == [1] * 4
    assert detector.batches == [1, 3]
    assert registry.get_sample_value("fer_detector_batch_size_count") == 2
    assert registry.get_sample_value("fer_detector_batch_size_sum") == 4
    assert executor.alive
    executor.stop()
    assert not executor.alive
    with pytest.raises(NotReady, match="the detector thread has ended"):
        executor.analyzer.analyze(plain("red"))


@pytest.mark.parametrize("orientations", [False, True])
def test_a_search_goes_on_with_the_shared_runs_of_its_network(orientations: bool) -> None:
    network = FakeBatchDetector()
    scales = Scales(network, coarse_first=False)
    search = Orientations(scales, upright_score=1.1) if orientations else scales
    executor = Executor(
        Analyzer(search, FakeClassifier()),
        Metrics(CollectorRegistry()),
        threads=1,
        max_batch=4,
        decode_memory=MEMORY,
    )
    executor.start()
    network.batches.clear()
    try:
        assert isinstance(executor.analyzer.detector, type(search))
        assert isinstance(executor.analyzer.detector.network, BatchedDetector)
        # An image this small has two scales. The sheet and the turned image show the same face.
        assert len(executor.analyzer.analyze(plain("red", 64, 64)).faces) == 1
        assert network.batches == [1] * (5 if orientations else 2)
        assert threading.get_ident() not in network.threads
    finally:
        executor.stop()


def test_an_image_in_progress_when_the_executor_stops_is_not_ready() -> None:
    entered, free = threading.Event(), threading.Event()

    class HeldDetector(FakeDetector):
        def detect(self, pixels: Pixels, min_score: float, job: Job | None = None) -> list[Face]:
            if pixels.any():
                entered.set()
                assert free.wait(SECONDS)
            return super().detect(pixels, min_score)

    analyzer = Analyzer(HeldDetector(FACE), FakeClassifier())
    executor = Executor(analyzer, Metrics(CollectorRegistry()), threads=1, max_batch=4, decode_memory=MEMORY)
    executor.start()

    async def scenario() -> None:
        task = asyncio.create_task(executor.run(plain("red"), Options(), Job()))
        assert await asyncio.to_thread(entered.wait, SECONDS)
        executor._shared[0].stop()
        free.set()
        with pytest.raises(NotReady, match="the classifier thread has ended"):
            await task

    asyncio.run(scenario())
    assert not executor.alive
    executor.stop()
