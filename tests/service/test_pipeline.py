import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from service.analyzer import Analyzer, Limits, Options
from service.detectors.base import Face
from service.errors import DeadlineExceeded, NotReady, Overloaded, ProviderError, UndecodableImage
from service.observability.metrics import Metrics
from service.pipeline import Pipeline, Timed
from tests.fakes import FakeBatchDetector, FakeClassifier, FakeDetector
from tests.service.conftest import SECONDS, HeldClassifier, Pixels, plain

LATER = 3600.0


class Line:
    """A pipeline and the parts that a test looks at."""

    def __init__(
        self, *faces: Face, limits: Limits | None = None, max_batch: int = 8, batched: bool = True
    ) -> None:
        self.classifier = HeldClassifier()
        self.registry = CollectorRegistry()
        analyzer = Analyzer(FakeDetector(*faces), self.classifier, limits)
        self.pipeline = Pipeline(analyzer, Metrics(self.registry), threads=2, max_batch=max_batch, batched=batched)

    def predict(
        self, data: bytes, options: Options | None = None, seconds: float = LATER
    ) -> Coroutine[Any, Any, Timed]:
        return self.pipeline.predict(data, options or Options(), time.monotonic() + seconds)

    async def waiting(self, count: int) -> None:
        """Until so many crops wait for the network."""
        async with asyncio.timeout(SECONDS):
            while self.value("fer_queue_depth") != count:
                await asyncio.sleep(0.002)  # a hot loop would starve the threads it waits for

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line(Face(0, 0, 60, 60))
    made.pipeline.start()
    made.classifier.batches.clear()
    yield made
    made.classifier.free.set()
    made.pipeline.stop()


def test_a_picture_is_answered_with_the_time_of_every_stage(line: Line) -> None:
    timed = asyncio.run(line.predict(plain("lime")))
    assert [face.emotion for face in timed.prediction.faces] == ["happy"]
    assert list(timed.seconds) == ["decode", "detect", "crop", "queue", "infer"]
    assert min(timed.seconds.values()) >= 0


def test_the_answer_is_that_of_the_analyzer_alone(line: Line, astronaut_jpeg: bytes) -> None:
    timed = asyncio.run(line.predict(astronaut_jpeg))
    assert timed.prediction == line.pipeline.analyzer.analyze(astronaut_jpeg)


def test_a_picture_without_faces_never_meets_the_network() -> None:
    empty = Line()
    empty.pipeline.start()
    timed = asyncio.run(empty.predict(plain("red")))
    empty.pipeline.stop()
    assert timed.prediction.faces == []
    assert list(timed.seconds) == ["decode", "detect", "crop"]
    assert empty.classifier.batches == []


def test_requests_that_come_while_the_network_is_busy_share_its_next_run(line: Line) -> None:
    async def scenario() -> list[Timed]:
        line.classifier.hold()
        first = asyncio.create_task(line.predict(plain("red")))
        await line.classifier.busy()
        others = [asyncio.create_task(line.predict(plain(colour))) for colour in ("lime", "blue", "red")]
        await line.waiting(3)
        line.classifier.free.set()
        return await asyncio.gather(first, *others)

    answers = asyncio.run(scenario())
    assert [timed.prediction.faces[0].emotion for timed in answers] == ["angry", "happy", "neutral", "angry"]
    assert line.classifier.batches == [1, 3]


def test_one_bad_picture_fails_alone(line: Line) -> None:
    async def scenario() -> list[Timed | BaseException]:
        pictures = [plain("red"), b"no picture", plain("blue")]
        return await asyncio.gather(*map(line.predict, pictures), return_exceptions=True)

    first, second, third = asyncio.run(scenario())
    assert isinstance(first, Timed)
    assert isinstance(second, UndecodableImage)
    assert isinstance(third, Timed)


def test_a_picture_past_its_deadline_is_not_decoded(line: Line) -> None:
    with pytest.raises(DeadlineExceeded, match="before its picture"):
        asyncio.run(line.predict(b"no picture", seconds=-1))


def test_a_face_past_its_deadline_is_not_run(line: Line) -> None:
    async def scenario() -> None:
        line.classifier.hold()
        first = asyncio.create_task(line.predict(plain("red")))
        await line.classifier.busy()
        late = asyncio.create_task(line.predict(plain("lime"), seconds=0.5))
        await line.waiting(1)
        await asyncio.sleep(0.51)
        line.classifier.free.set()
        with pytest.raises(DeadlineExceeded, match="before the network was free"):
            await late
        await first

    asyncio.run(scenario())
    assert line.classifier.batches == [1]


def test_a_cancelled_request_is_not_run(line: Line) -> None:
    async def scenario() -> None:
        line.classifier.hold()
        first = asyncio.create_task(line.predict(plain("red")))
        await line.classifier.busy()
        gone = asyncio.create_task(line.predict(plain("lime")))
        await line.waiting(1)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        line.classifier.free.set()
        await first
        await line.predict(plain("blue"))

    asyncio.run(scenario())
    assert line.classifier.batches == [1, 1]


def test_a_full_queue_refuses_the_whole_picture() -> None:
    faces = [Face(n, n, 20, 20) for n in range(10)]
    line = Line(*faces, limits=Limits(max_faces=10), max_batch=1)
    line.pipeline.start()

    async def scenario() -> None:
        line.classifier.hold()
        waiting = [asyncio.create_task(line.predict(plain("red"))) for _ in range(17)]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=SECONDS)
        (refused,) = done
        with pytest.raises(Overloaded, match="queue is full"):
            refused.result()
        line.classifier.free.set()
        answered = await asyncio.gather(*(task for task in waiting if task is not refused))
        assert [len(timed.prediction.faces) for timed in answered] == [10] * 16

    asyncio.run(scenario())
    line.pipeline.stop()
    assert line.value("fer_rejected_total", reason="queue") == 1


def test_a_picture_that_was_being_prepared_when_the_line_ended_is_not_ready() -> None:
    entered, free = threading.Event(), threading.Event()

    class HeldDetector(FakeDetector):
        def detect(self, pixels: Pixels, min_score: float) -> list[Face]:
            if pixels.any():
                entered.set()
                assert free.wait(SECONDS)
            return super().detect(pixels, min_score)

    analyzer = Analyzer(HeldDetector(Face(0, 0, 9, 9)), FakeClassifier())
    pipeline = Pipeline(analyzer, Metrics(CollectorRegistry()), threads=1, max_batch=4, batched=True)
    pipeline.start()

    async def scenario() -> None:
        task = asyncio.create_task(pipeline.predict(plain("red"), Options(), time.monotonic() + LATER))
        assert await asyncio.to_thread(entered.wait, SECONDS)
        free.set()
        pipeline.stop()
        with pytest.raises(NotReady):
            await task

    assert pipeline.alive
    asyncio.run(scenario())
    assert not pipeline.alive


def test_a_failure_of_the_network_reaches_the_caller() -> None:
    def broken(crop: Pixels) -> Sequence[float]:
        if crop.any():
            raise ArithmeticError("broken")
        return [1, 0, 0]

    pipeline = Pipeline(
        Analyzer(FakeDetector(Face(0, 0, 9, 9)), FakeClassifier(broken)),
        Metrics(CollectorRegistry()),
        threads=1,
        max_batch=4,
        batched=True,
    )
    pipeline.start()
    with pytest.raises(ArithmeticError):
        asyncio.run(pipeline.predict(plain("red"), Options(), time.monotonic() + LATER))
    assert pipeline.alive
    pipeline.stop()


def test_pictures_and_batches_are_counted(line: Line) -> None:
    asyncio.run(line.predict(plain("lime")))
    assert line.value("fer_predictions_total", emotion="happy") == 1
    assert line.value("fer_faces_per_image_count") == 1
    assert line.value("fer_batch_size_count") == 1
    assert line.value("fer_stage_duration_seconds_count", stage="infer") == 1
    assert line.value("fer_queue_depth") == 0


@pytest.fixture
def direct() -> Iterator[Line]:
    """A line whose pictures run the network in their own threads."""
    made = Line(Face(0, 0, 60, 60), batched=False)
    made.pipeline.start()
    made.classifier.batches.clear()
    yield made
    made.classifier.free.set()
    made.pipeline.stop()


def test_where_nothing_is_shared_the_answer_and_its_stages_are_the_same(direct: Line) -> None:
    timed = asyncio.run(direct.predict(plain("lime")))
    assert timed.prediction == direct.pipeline.analyzer.analyze(plain("lime"))
    assert list(timed.seconds) == ["queue", "decode", "detect", "crop", "infer"]
    assert direct.value("fer_batch_size_count") == 1
    assert direct.value("fer_stage_duration_seconds_count", stage="infer") == 1
    assert direct.pipeline.alive


def test_a_picture_without_faces_needs_no_network_there_either() -> None:
    empty = Line(batched=False)
    empty.pipeline.start()
    timed = asyncio.run(empty.predict(plain("red")))
    empty.pipeline.stop()
    assert timed.prediction.faces == []
    assert "infer" not in timed.seconds
    assert empty.classifier.batches == []


def test_pictures_that_wait_for_a_thread_are_told_and_so_is_their_time(direct: Line) -> None:
    async def scenario() -> list[Timed]:
        direct.classifier.hold()
        tasks = [asyncio.create_task(direct.predict(plain("lime"))) for _ in range(5)]
        await direct.waiting(3)
        await asyncio.sleep(0.02)
        direct.classifier.free.set()
        return await asyncio.gather(*tasks)

    answers = asyncio.run(scenario())
    times = sorted(timed.seconds["queue"] for timed in answers)
    assert times[1] < times[2], "two had a thread at once"
    assert times[2] >= 0.02
    assert direct.value("fer_queue_depth") == 0


def test_a_picture_that_nobody_wants_any_more_does_not_wait(direct: Line) -> None:
    async def scenario() -> None:
        direct.classifier.hold()
        tasks = [asyncio.create_task(direct.predict(plain("lime"))) for _ in range(4)]
        await direct.waiting(2)
        tasks[3].cancel()
        await direct.waiting(1)
        direct.classifier.free.set()
        await asyncio.gather(*tasks[:3])

    asyncio.run(scenario())
    assert direct.value("fer_queue_depth") == 0
    assert direct.classifier.batches == [1, 1, 1]


def test_a_picture_whose_time_is_over_is_not_begun_there_either(direct: Line) -> None:
    async def scenario() -> None:
        direct.classifier.hold()
        first = [asyncio.create_task(direct.predict(plain("lime"))) for _ in range(2)]
        late = asyncio.create_task(direct.predict(plain("lime"), seconds=0.01))
        await direct.waiting(1)
        await asyncio.sleep(0.02)
        direct.classifier.free.set()
        with pytest.raises(DeadlineExceeded):
            await late
        await asyncio.gather(*first)

    asyncio.run(scenario())
    assert direct.classifier.batches == [1, 1]


def test_a_detector_on_a_gpu_looks_at_the_pictures_that_wait_in_one_run() -> None:
    detector, registry = FakeBatchDetector(), CollectorRegistry()
    analyzer = Analyzer(detector, FakeClassifier())
    pipeline = Pipeline(analyzer, Metrics(registry), threads=2, max_batch=4, batched=True)
    pipeline.start()
    assert detector.warmed == [4], "two threads wait for the GPU while two others decode"
    warming = detector.batches.copy()
    detector.batches.clear()
    while detector.began.acquire(blocking=False):
        pass

    async def scenario() -> list[Timed]:
        detector.free.clear()
        later = time.monotonic() + LATER
        asked = [asyncio.create_task(pipeline.predict(plain("red"), Options(), later))]
        assert await asyncio.to_thread(detector.began.acquire, timeout=SECONDS)
        asked += [asyncio.create_task(pipeline.predict(plain("red"), Options(), later)) for _ in range(3)]
        async with asyncio.timeout(SECONDS):
            while pipeline._detector is None or pipeline._detector._batcher.depth != 3:
                await asyncio.sleep(0.002)
        detector.free.set()
        return await asyncio.gather(*asked)

    answers = asyncio.run(scenario())
    assert [len(timed.prediction.faces) for timed in answers] == [1] * 4
    assert detector.batches == [1, 3]
    assert registry.get_sample_value("fer_detector_batch_size_count") == len(warming) + 2
    assert registry.get_sample_value("fer_detector_batch_size_sum") == sum(warming) + 4
    assert pipeline.alive
    pipeline.stop()
    assert not pipeline.alive
    with pytest.raises(NotReady, match="the detector's thread has ended"):
        pipeline.analyzer.analyze(plain("red"))


def test_a_detector_on_the_cpu_is_asked_by_each_thread_itself() -> None:
    detector, registry = FakeDetector(Face(0, 0, 9, 9)), CollectorRegistry()
    pipeline = Pipeline(
        Analyzer(detector, FakeClassifier()), Metrics(registry), threads=1, max_batch=4, batched=True
    )
    assert pipeline.analyzer.detector is detector
    pipeline.start()
    pipeline.stop()
    assert registry.get_sample_value("fer_detector_batch_size_count") == 0


def test_the_network_is_warmed_by_the_thread_that_runs_it() -> None:
    threads: list[int] = []

    class Noted(FakeClassifier):
        def warm(self, max_batch: int) -> None:
            threads.append(threading.get_ident())
            super().warm(max_batch)

        def classify(self, crops: Sequence[Pixels]) -> NDArray[np.float32]:
            threads.append(threading.get_ident())
            return super().classify(crops)

    classifier = Noted()
    analyzer = Analyzer(FakeDetector(Face(0, 0, 9, 9)), classifier)
    pipeline = Pipeline(analyzer, Metrics(CollectorRegistry()), threads=1, max_batch=4, batched=True)
    pipeline.start()
    threads[1:] = []  # what follows was the line's own first picture
    asyncio.run(pipeline.predict(plain("red"), Options(), time.monotonic() + LATER))
    pipeline.stop()
    assert classifier.warmed == [4]
    assert threads[0] == threads[1] != threading.get_ident()


@pytest.mark.parametrize("batched", [True, False])
def test_a_network_that_cannot_be_run_stops_the_start(batched: bool) -> None:
    class Broken(FakeClassifier):
        def warm(self, max_batch: int) -> None:
            raise ProviderError("no cuDNN")

    analyzer = Analyzer(FakeDetector(), Broken())
    pipeline = Pipeline(analyzer, Metrics(CollectorRegistry()), threads=1, max_batch=4, batched=batched)
    with pytest.raises(ProviderError, match="no cuDNN"):
        pipeline.start()
    pipeline.stop()
