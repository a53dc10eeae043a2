import asyncio
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from fer_service.analysis.analyzer import Analyzer, Limits, Options
from fer_service.analysis.executor import Executor, Timed
from fer_service.contract.boxes import Box
from fer_service.contract.errors import DeadlineExceeded, NotReady, Overloaded, UndecodableImage
from fer_service.detection.detector import Face
from fer_service.observability.metrics import Metrics
from prometheus_client import CollectorRegistry

from tests.fakes import FakeClassifier, FakeDetector
from tests.service.analysis.executors import LATER, Line
from tests.service.conftest import SECONDS, Pixels, plain


@pytest.fixture
def line() -> Iterator[Line]:
    with Line(Face(Box(0, 0, 60, 60))) as made:
        yield made


def test_an_image_is_answered_with_the_time_of_every_stage(line: Line) -> None:
    timed = asyncio.run(line.predict(plain("lime")))
    assert [face.emotion for face in timed.prediction.faces] == ["happy"]
    assert list(timed.seconds) == ["decode", "detect", "crop", "queue", "infer"]
    assert min(timed.seconds.values()) >= 0


def test_the_answer_is_that_of_the_analyzer_alone(line: Line, astronaut_jpeg: bytes) -> None:
    timed = asyncio.run(line.predict(astronaut_jpeg))
    assert timed.prediction == line.executor.analyzer.analyze(astronaut_jpeg)


def test_an_image_without_faces_never_meets_the_network() -> None:
    empty = Line()
    empty.executor.start()
    timed = asyncio.run(empty.predict(plain("red")))
    empty.executor.stop()
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


def test_one_bad_image_fails_alone(line: Line) -> None:
    async def scenario() -> list[Timed | BaseException]:
        images = [plain("red"), b"no image", plain("blue")]
        return await asyncio.gather(*map(line.predict, images), return_exceptions=True)

    first, second, third = asyncio.run(scenario())
    assert isinstance(first, Timed)
    assert isinstance(second, UndecodableImage)
    assert isinstance(third, Timed)


def test_an_image_past_its_deadline_is_not_decoded(line: Line) -> None:
    with pytest.raises(DeadlineExceeded, match="before its image"):
        asyncio.run(line.predict(b"no image", seconds=-1))


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


def test_a_full_queue_refuses_the_whole_image() -> None:
    faces = [Face(Box(n, n, 20, 20)) for n in range(10)]
    line = Line(*faces, limits=Limits(max_faces=10), max_batch=1)
    line.executor.start()

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
    line.executor.stop()
    assert line.value("fer_rejected_total", reason="queue") == 1


def test_an_image_that_was_being_prepared_when_the_line_ended_is_not_ready() -> None:
    entered, free = threading.Event(), threading.Event()

    class HeldDetector(FakeDetector):
        def detect(self, pixels: Pixels, min_score: float) -> list[Face]:
            if pixels.any():
                entered.set()
                assert free.wait(SECONDS)
            return super().detect(pixels, min_score)

    analyzer = Analyzer(HeldDetector(Face(Box(0, 0, 9, 9))), FakeClassifier())
    executor = Executor(analyzer, Metrics(CollectorRegistry()), threads=1, max_batch=4, batched=True)
    executor.start()

    async def scenario() -> None:
        task = asyncio.create_task(executor.predict(plain("red"), Options(), time.monotonic() + LATER))
        assert await asyncio.to_thread(entered.wait, SECONDS)
        free.set()
        executor.stop()
        with pytest.raises(NotReady):
            await task

    assert executor.alive
    asyncio.run(scenario())
    assert not executor.alive


def test_a_failure_of_the_network_reaches_the_caller() -> None:
    def broken(crop: Pixels) -> Sequence[float]:
        if crop.any():
            raise ArithmeticError("broken")
        return [1, 0, 0]

    executor = Executor(
        Analyzer(FakeDetector(Face(Box(0, 0, 9, 9))), FakeClassifier(broken)),
        Metrics(CollectorRegistry()),
        threads=1,
        max_batch=4,
        batched=True,
    )
    executor.start()
    with pytest.raises(ArithmeticError):
        asyncio.run(executor.predict(plain("red"), Options(), time.monotonic() + LATER))
    assert executor.alive
    executor.stop()


def test_images_and_batches_are_counted(line: Line) -> None:
    asyncio.run(line.predict(plain("lime")))
    assert line.value("fer_predictions_total", emotion="happy") == 1
    assert line.value("fer_faces_per_image_count") == 1
    assert line.value("fer_batch_size_count") == 1
    assert line.value("fer_stage_duration_seconds_count", stage="infer") == 1
    assert line.value("fer_queue_depth") == 0
