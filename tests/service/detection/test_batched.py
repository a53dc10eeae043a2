import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fer_service.contract.errors import NotReady, Overloaded
from fer_service.detection.batched import MAX_BATCH, BatchedDetector
from fer_service.detection.detector import BatchDetector, Face

from tests.fakes import FakeBatchDetector, FakeDetector

THREADS = 6
SECONDS = 10


class Sharing:
    """A started detector, its parts, and the sizes of its runs as they are told."""

    def __init__(self) -> None:
        self.inner = FakeBatchDetector()
        self.told: list[int] = []
        self.shared = BatchedDetector(self.inner, max_batch=THREADS, max_queue=THREADS, on_batch=self.told.append)
        self.pool = ThreadPoolExecutor(THREADS + 1)

    def ask(self, level: int) -> list[Face]:
        return self.shared.detect(np.full((4, 4, 3), level, np.uint8), 0.5)


@pytest.fixture
def sharing() -> Iterator[Sharing]:
    made = Sharing()
    made.shared.runs.start()
    yield made
    made.inner.free.set()
    made.pool.shutdown()
    made.shared.runs.stop()


def waiting(sharing: Sharing, count: int) -> None:
    """Until so many images wait for a run."""
    tick = threading.Event()
    for _ in range(5000):
        if sharing.shared.runs.depth == count:
            return
        tick.wait(0.002)
    raise AssertionError(f"{sharing.shared.runs.depth} wait, not {count}")


def test_it_has_the_properties_of_its_detector(sharing: Sharing) -> None:
    assert isinstance(sharing.inner, BatchDetector)
    assert not isinstance(FakeDetector(), BatchDetector)
    assert not isinstance(sharing.shared, BatchDetector)
    assert (sharing.shared.name, sharing.shared.side, sharing.shared.frame_scale) == ("fake", 640, 1.0)


def test_waiting_images_share_a_batch_and_each_gets_its_own_faces(sharing: Sharing) -> None:
    sharing.inner.free.clear()
    first = sharing.pool.submit(sharing.ask, 10)
    assert sharing.inner.began.acquire(timeout=SECONDS)
    others = [sharing.pool.submit(sharing.ask, level) for level in (20, 30, 40)]
    waiting(sharing, 3)
    sharing.inner.free.set()
    widths = [[face.box.width for face in asked.result(SECONDS)] for asked in (first, *others)]
    assert widths == [[10], [20], [30], [40]]
    assert sharing.inner.batches == sharing.told == [1, 3]


def test_one_thread_warms_and_runs_the_network(sharing: Sharing) -> None:
    assert sharing.inner.warmed == [THREADS]
    sharing.ask(9)
    assert len(sharing.inner.threads) == 1
    assert threading.get_ident() not in sharing.inner.threads


def test_the_batch_size_is_limited_for_many_threads() -> None:
    inner = FakeBatchDetector()
    shared = BatchedDetector(inner, max_batch=1000, max_queue=1000, on_batch=lambda count: None)
    shared.runs.start()
    shared.runs.stop()
    assert inner.warmed == [MAX_BATCH]


def test_a_failed_batch_fails_only_its_own_images(sharing: Sharing) -> None:
    with pytest.raises(ArithmeticError, match="too dark"):
        sharing.ask(1)
    assert len(sharing.ask(50)) == 1
    assert sharing.shared.runs.alive


def test_more_images_than_threads_are_refused(sharing: Sharing) -> None:
    sharing.inner.free.clear()
    asked = [sharing.pool.submit(sharing.ask, 10)]
    assert sharing.inner.began.acquire(timeout=SECONDS)
    asked += [sharing.pool.submit(sharing.ask, 10) for _ in range(THREADS)]
    waiting(sharing, THREADS)
    with pytest.raises(Overloaded, match="6 of 6 items are waiting"):
        sharing.ask(10)
    sharing.inner.free.set()
    assert all(one.result(SECONDS) for one in asked)


def test_a_stopped_detector_is_not_ready(sharing: Sharing) -> None:
    sharing.shared.runs.stop()
    assert not sharing.shared.runs.alive
    with pytest.raises(NotReady, match="thread has ended"):
        sharing.ask(10)
