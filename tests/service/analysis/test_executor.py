"""The executor on a CPU, where each thread runs the networks itself."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from fer_service.analysis.analyzer import Analysis, Analyzer
from fer_service.analysis.covering import COVER_SCORE
from fer_service.analysis.executor import Executor
from fer_service.analysis.options import Options
from fer_service.contract.boxes import Box
from fer_service.contract.errors import DeadlineExceeded, ProviderError, UndecodableImage
from fer_service.contract.job import Job, Stage
from fer_service.detection.detector import Face
from fer_service.observability.metrics import Metrics
from numpy.typing import NDArray
from PIL import Image
from prometheus_client import CollectorRegistry

from tests.fakes import FakeClassifier, FakeDetector
from tests.service.analysis.running import MEMORY, Running
from tests.service.conftest import SECONDS, Pixels, costly, encoded, plain

FACE = Face(Box(0, 0, 60, 60))


@pytest.fixture
def running() -> Iterator[Running]:
    with Running(FACE) as made:
        yield made


def test_an_image_is_answered_with_the_time_of_every_stage(running: Running) -> None:
    job = Job()
    analysis = asyncio.run(running.run(plain("lime"), job=job))
    assert [face.emotion for face in analysis.prediction.faces] == ["happy"]
    assert list(job.seconds) == ["queue", "decode", "detect", "crop", "infer"]
    assert min(job.seconds.values()) >= 0


def test_the_answer_is_that_of_the_analyzer_alone(running: Running, astronaut_jpeg: bytes) -> None:
    analysis = asyncio.run(running.run(astronaut_jpeg))
    assert analysis.prediction == running.executor.analyzer.analyze(astronaut_jpeg)


def test_an_image_without_faces_needs_no_classifier() -> None:
    with Running() as empty:
        job = Job()
        assert asyncio.run(empty.run(plain("red"), job=job)).prediction.faces == []
        assert "infer" not in job.seconds
        assert empty.classifier.batches == []


def test_one_bad_image_fails_alone(running: Running) -> None:
    async def scenario() -> list[Analysis | BaseException]:
        images = [plain("red"), b"not an image", plain("blue")]
        return await asyncio.gather(*map(running.run, images), return_exceptions=True)

    first, second, third = asyncio.run(scenario())
    assert isinstance(first, Analysis)
    assert isinstance(second, UndecodableImage)
    assert isinstance(third, Analysis)


def test_images_that_wait_for_a_thread_are_counted_and_timed(running: Running) -> None:
    jobs = [Job() for _ in range(5)]

    async def scenario() -> None:
        running.classifier.hold()
        tasks = [asyncio.create_task(running.run(plain("lime"), job=job)) for job in jobs]
        await running.queued(3)
        await asyncio.sleep(0.02)
        running.classifier.free.set()
        await asyncio.gather(*tasks)

    asyncio.run(scenario())
    times = sorted(job.seconds[Stage.QUEUE] for job in jobs)
    assert times[1] < times[2], "two had a thread at once"
    assert times[2] >= 0.02
    assert running.value("fer_queue_depth") == 0


def test_a_cancelled_image_leaves_the_queue(running: Running) -> None:
    async def scenario() -> None:
        running.classifier.hold()
        tasks = [asyncio.create_task(running.run(plain("lime"))) for _ in range(4)]
        await running.queued(2)
        tasks[3].cancel()
        await running.queued(1)
        running.classifier.free.set()
        await asyncio.gather(*tasks[:3])

    asyncio.run(scenario())
    assert running.value("fer_queue_depth") == 0
    assert running.classifier.batches == [1, 1, 1]


def test_an_image_past_its_deadline_is_not_decoded(running: Running) -> None:
    with pytest.raises(DeadlineExceeded, match="request timed out while waiting for a free thread"):
        asyncio.run(running.run(b"not an image", job=Job(time.monotonic() - 1)))


def test_a_failure_of_the_classifier_reaches_the_caller() -> None:
    def broken(crop: Pixels) -> Sequence[float]:
        if crop.any():
            raise ArithmeticError("broken")
        return [1, 0, 0]

    analyzer = Analyzer(FakeDetector(FACE), FakeClassifier(broken))
    executor = Executor(analyzer, Metrics(CollectorRegistry()), threads=1, max_batch=4, decode_memory=MEMORY)
    executor.start()
    with pytest.raises(ArithmeticError):
        asyncio.run(executor.run(plain("red"), Options(), Job()))
    assert executor.alive
    executor.stop()


def test_images_and_batches_are_counted(running: Running) -> None:
    asyncio.run(running.run(plain("lime")))
    assert running.value("fer_predictions_total", emotion="happy") == 1
    assert running.value("fer_faces_per_image_count") == 1
    assert running.value("fer_batch_size_count") == 1
    assert running.value("fer_stage_duration_seconds_count", stage="infer") == 1


def test_every_thread_warms_its_own_networks() -> None:
    threads: set[int] = set()

    class Noted(FakeClassifier):
        on_gpu = False

        def classify(self, crops: Sequence[Pixels], job: Job | None = None) -> NDArray[np.float32]:
            threads.add(threading.get_ident())
            return super().classify(crops, job)

    analyzer = Analyzer(FakeDetector(FACE), Noted())
    executor = Executor(analyzer, Metrics(CollectorRegistry()), threads=3, max_batch=4, decode_memory=MEMORY)
    executor.start()
    executor.stop()
    assert len(threads) == 3


@pytest.mark.parametrize("on_gpu", [True, False])
def test_a_classifier_that_cannot_run_stops_the_start(on_gpu: bool) -> None:
    class Broken(FakeClassifier):
        def warm(self, max_batch: int) -> None:
            raise ProviderError("no cuDNN")

    classifier = Broken()
    classifier.on_gpu = on_gpu
    executor = Executor(
        Analyzer(FakeDetector(), classifier),
        Metrics(CollectorRegistry()),
        threads=1,
        max_batch=4,
        decode_memory=MEMORY,
    )
    with pytest.raises(ProviderError, match="no cuDNN"):
        executor.start()
    executor.stop()


def test_an_image_of_a_rare_format_is_answered_like_any_other(running: Running) -> None:
    job = Job()
    analysis = asyncio.run(running.run(encoded(Image.new("RGB", (64, 64), "lime"), "GIF"), job=job))
    assert [face.emotion for face in analysis.prediction.faces] == ["happy"]
    assert list(job.seconds) == ["queue", "decode", "detect", "crop", "infer"]
    assert job.kind.startswith("GIF 64×64")


def test_ordinary_images_do_not_wait_for_costly_ones(running: Running) -> None:
    async def scenario() -> None:
        slow = [asyncio.create_task(running.run(costly())) for _ in range(6)]
        await asyncio.sleep(0.1)
        for _ in range(5):
            await running.run(plain("lime"))
        assert not any(task.done() for task in slow[2:])
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    asyncio.run(scenario())
    assert running.value("fer_queue_depth") == 0


def test_ordinary_images_do_not_wait_for_one_whose_small_faces_ask_for_a_costly_size() -> None:
    async def scenario(running: Running) -> None:
        large = asyncio.create_task(running.run(encoded(Image.new("RGB", (6000, 6000)), "JPEG")))
        await asyncio.sleep(0)
        await running.run(plain("lime"))
        assert not large.done()
        assert len((await large).prediction.faces) == 1

    with Running(Face(Box(0, 0, 8, 8)), threads=1) as running:
        asyncio.run(scenario(running))


def test_ordinary_images_do_not_wait_for_those_whose_faces_are_covered() -> None:
    class Slow(FakeDetector):
        def detect(self, pixels: Pixels, min_score: float, job: Job | None = None) -> list[Face]:
            if min_score == COVER_SCORE:
                free.wait(SECONDS)
            return super().detect(pixels, min_score, job)

    free = threading.Event()

    async def scenario(executor: Executor) -> None:
        options = Options(draw="png", drawing="blur")
        covering = [asyncio.create_task(executor.run(plain("red"), options, Job())) for _ in range(4)]
        await asyncio.sleep(0.1)
        await executor.run(plain("lime"), Options(), Job(time.monotonic() + SECONDS))
        assert not any(task.done() for task in covering)
        free.set()
        assert all(analysis.drawn for analysis in await asyncio.gather(*covering))

    analyzer = Analyzer(Slow(FACE), FakeClassifier())
    executor = Executor(analyzer, Metrics(CollectorRegistry()), threads=2, max_batch=4, decode_memory=MEMORY)
    executor.start()
    asyncio.run(scenario(executor))
    executor.stop()


def test_a_costly_image_that_nobody_waits_for_is_given_up(running: Running) -> None:
    async def scenario() -> float:
        task = asyncio.create_task(running.run(costly()))
        await asyncio.sleep(0.3)
        task.cancel()
        began = time.monotonic()
        await running.run(encoded(Image.new("RGB", (64, 64)), "GIF"))
        await running.run(encoded(Image.new("RGB", (64, 64)), "BMP"))
        return time.monotonic() - began

    assert asyncio.run(scenario()) < SECONDS


def test_clients_take_turns() -> None:
    order: list[str] = []

    async def ask(running: Running, name: str, client: str) -> None:
        await running.run(plain("red"), job=Job(time.monotonic() + SECONDS, client))
        order.append(name)

    async def scenario() -> None:
        with Running(FACE, threads=1) as running:
            running.classifier.hold()
            tasks = [asyncio.create_task(ask(running, f"a{number}", "a")) for number in range(5)]
            await running.queued(4)
            tasks.append(asyncio.create_task(ask(running, "b", "b")))
            await running.queued(5)
            running.classifier.free.set()
            await asyncio.gather(*tasks)

    asyncio.run(scenario())
    assert order == ["a0", "b", "a1", "a2", "a3", "a4"]


def test_it_is_stalled_while_all_threads_are_past_their_deadline(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        running.classifier.hold()
        jobs = [Job(time.monotonic() + SECONDS) for _ in range(2)]
        tasks = [asyncio.create_task(running.run(plain("red"), job=job)) for job in jobs]
        await running.classifier.busy()
        await running.classifier.busy()
        jobs[0].deadline = 0
        assert not running.executor.stalled()
        jobs[1].deadline = 0
        assert running.executor.stalled()
        assert running.executor.stalled()
        running.classifier.free.set()
        await asyncio.gather(*tasks)
        assert not running.executor.stalled()

    asyncio.run(scenario())
    (record,) = caplog.records
    assert record.message == "all 2 threads work on images whose deadline has passed: JPEG 64×64, baseline"
