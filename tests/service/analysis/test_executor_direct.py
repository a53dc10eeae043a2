"""The line where each image's own thread runs the network: on a CPU."""

import asyncio
from collections.abc import Iterator

import pytest
from fer_service.analysis.executor import Timed
from fer_service.contract.boxes import Box
from fer_service.contract.errors import DeadlineExceeded
from fer_service.detection.detector import Face

from tests.service.analysis.executors import Line
from tests.service.conftest import plain


@pytest.fixture
def direct() -> Iterator[Line]:
    """A line whose images run the network in their own threads."""
    with Line(Face(Box(0, 0, 60, 60)), batched=False) as made:
        yield made


def test_where_nothing_is_shared_the_answer_and_its_stages_are_the_same(direct: Line) -> None:
    timed = asyncio.run(direct.predict(plain("lime")))
    assert timed.prediction == direct.executor.analyzer.analyze(plain("lime"))
    assert list(timed.seconds) == ["queue", "decode", "detect", "crop", "infer"]
    assert direct.value("fer_batch_size_count") == 1
    assert direct.value("fer_stage_duration_seconds_count", stage="infer") == 1
    assert direct.executor.alive


def test_an_image_without_faces_needs_no_network_there_either() -> None:
    empty = Line(batched=False)
    empty.executor.start()
    timed = asyncio.run(empty.predict(plain("red")))
    empty.executor.stop()
    assert timed.prediction.faces == []
    assert "infer" not in timed.seconds
    assert empty.classifier.batches == []


def test_images_that_wait_for_a_thread_are_told_and_so_is_their_time(direct: Line) -> None:
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


def test_an_image_that_nobody_wants_any_more_does_not_wait(direct: Line) -> None:
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


def test_an_image_whose_time_is_over_is_not_begun_there_either(direct: Line) -> None:
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
