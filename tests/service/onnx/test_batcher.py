import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager

import pytest
from fer_service.onnx.batcher import Batcher, QueueFull, Stopped

SECONDS = 10


class Device:
    """Multiplies by ten; works only while it is free, and fails batches that hold a negative number."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()

    def __call__(self, items: list[int]) -> Sequence[int]:
        self.batches.append(list(items))
        self.began.release()
        assert self.free.wait(SECONDS)
        if min(items) < 0:
            raise ArithmeticError(f"{min(items)} is negative")
        return [item * 10 for item in items]


@contextmanager
def batching(device: Device, max_batch: int = 4, max_queue: int = 100) -> Iterator[Batcher[int, int]]:
    batcher = Batcher(device, max_batch=max_batch, max_queue=max_queue)
    batcher.start()
    try:
        yield batcher
    finally:
        device.free.set()
        assert batcher.drain(SECONDS)


@contextmanager
def busy(device: Device, batcher: Batcher[int, int]) -> Iterator[None]:
    """Inside, the device works on a batch of its own, the item 0, and everything else waits."""
    device.free.clear()
    batcher.submit([0])
    assert device.began.acquire(timeout=SECONDS)
    try:
        yield
    finally:
        device.free.set()


def test_results_come_in_order_across_batches() -> None:
    device = Device()
    with batching(device, max_batch=4) as batcher, busy(device, batcher):
        futures = batcher.submit(range(1, 11))
        device.free.set()
        assert [future.result(SECONDS).value for future in futures] == list(range(10, 101, 10))
    assert device.batches == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]


def test_a_single_item_runs_at_once() -> None:
    device = Device()
    with batching(device) as batcher:
        (future,) = batcher.submit([7])
        assert future.result(SECONDS).value == 70
    assert device.batches == [[7]]


def test_items_that_wait_for_the_device_share_a_batch() -> None:
    device = Device()
    with batching(device, max_batch=8) as batcher:
        with busy(device, batcher):
            requests = [batcher.submit(items) for items in ([1, 2], [3], [4, 5, 6])]
            assert batcher.depth == 6
        answers = [future.result(SECONDS).value for futures in requests for future in futures]
        assert batcher.depth == 0
    assert device.batches == [[0], [1, 2, 3, 4, 5, 6]]
    assert answers == [10, 20, 30, 40, 50, 60]


def test_a_result_has_the_time_in_the_queue() -> None:
    device = Device()
    with batching(device) as batcher:
        before = time.monotonic()
        with busy(device, batcher):
            (future,) = batcher.submit([1])
            time.sleep(0.01)
        assert 0.01 <= future.result(SECONDS).queued <= time.monotonic() - before


def test_a_failed_batch_fails_only_its_own_items() -> None:
    device = Device()
    with batching(device, max_batch=2) as batcher, busy(device, batcher):
        good, bad, late = batcher.submit([1, 2]), batcher.submit([-3, 4]), batcher.submit([5])
        device.free.set()
        assert [future.result(SECONDS).value for future in (*good, *late)] == [10, 20, 50]
        for future in bad:
            with pytest.raises(ArithmeticError, match="-3 is negative"):
                future.result(SECONDS)
        assert batcher.alive


@pytest.mark.parametrize("results", [[], [1], [1, 2, 3]])
def test_a_wrong_number_of_results_is_an_error(results: list[int]) -> None:
    batcher: Batcher[int, int] = Batcher(lambda items: results, max_batch=4, max_queue=4)
    futures = batcher.submit([1, 2])
    batcher.start()
    for future in futures:
        with pytest.raises(RuntimeError, match=f"a batch of 2 items returned {len(results)} results"):
            future.result(SECONDS)
    assert batcher.drain(SECONDS)


def test_cancelled_items_are_not_run() -> None:
    device = Device()
    with batching(device, max_batch=8) as batcher:
        with busy(device, batcher):
            first, second, third = batcher.submit([1, 2, 3])
            assert second.cancel()
        assert (first.result(SECONDS).value, third.result(SECONDS).value) == (10, 30)
        with pytest.raises(CancelledError):
            second.result(SECONDS)
    assert device.batches == [[0], [1, 3]]


def test_expired_items_are_not_run() -> None:
    device = Device()
    with batching(device, max_batch=8) as batcher:
        with busy(device, batcher):
            (late,) = batcher.submit([1], lambda: True)
            (timely,) = batcher.submit([2], lambda: False)
        assert timely.result(SECONDS).value == 20
        with pytest.raises(TimeoutError, match="expired in the queue"):
            late.result(SECONDS)
    assert device.batches == [[0], [2]]


def test_a_batch_without_wanted_items_is_not_run() -> None:
    device = Device()
    with batching(device, max_batch=2) as batcher:
        with busy(device, batcher):
            for future in batcher.submit([1, 2]):
                assert future.cancel()
            (wanted,) = batcher.submit([3])
        assert wanted.result(SECONDS).value == 30
    assert device.batches == [[0], [3]]


def test_items_that_do_not_all_fit_are_all_refused() -> None:
    device = Device()
    with batching(device, max_batch=8, max_queue=3) as batcher:
        with busy(device, batcher):
            taken = batcher.submit([1, 2])
            with pytest.raises(QueueFull, match="2 of 3 items are waiting"):
                batcher.submit([3, 4])
            taken += batcher.submit([5])
        assert [future.result(SECONDS).value for future in taken] == [10, 20, 50]
    assert device.batches == [[0], [1, 2, 5]]


def test_draining_finishes_the_queue_and_accepts_no_more_items() -> None:
    device = Device()
    with batching(device, max_batch=2) as batcher, busy(device, batcher):
        futures = batcher.submit([1, 2, 3])
        assert not batcher.drain(timeout=0)
        with pytest.raises(Stopped):
            batcher.submit([4])
        device.free.set()
        assert batcher.drain(SECONDS)
        assert [future.result(0).value for future in futures] == [10, 20, 30]
        assert not batcher.alive


def test_a_batcher_that_was_never_started_drains_at_once() -> None:
    batcher = Batcher(Device(), max_batch=1, max_queue=1)
    assert not batcher.alive
    assert batcher.drain()


def test_setup_runs_in_the_thread_of_the_batches() -> None:
    threads: list[int] = []

    def run(items: list[int]) -> list[int]:
        threads.append(threading.get_ident())
        return items

    setup = lambda: threads.append(threading.get_ident())  # noqa: E731
    batcher: Batcher[int, int] = Batcher(run, setup=setup, max_batch=4, max_queue=4)
    batcher.start()
    assert len(threads) == 1
    batcher.submit([1])[0].result(SECONDS)
    assert batcher.drain(SECONDS)
    assert threads[0] == threads[1] != threading.get_ident()


def test_start_raises_the_exception_of_setup() -> None:
    def setup() -> None:
        raise ArithmeticError("no such device")

    batcher: Batcher[int, int] = Batcher(Device(), setup=setup, max_batch=4, max_queue=4)
    with pytest.raises(ArithmeticError, match="no such device"):
        batcher.start()
    assert batcher.drain(SECONDS)
    assert not batcher.alive


def test_no_items_give_no_futures() -> None:
    with batching(Device(), max_queue=1) as batcher:
        assert batcher.submit([]) == []


def test_many_threads_get_their_own_results() -> None:
    answers: dict[int, list[int]] = {}

    def request(number: int) -> None:
        futures = batcher.submit(range(number * 100, number * 100 + 5))
        answers[number] = [future.result(SECONDS).value for future in futures]

    with batching(Device(), max_batch=7) as batcher:
        threads = [threading.Thread(target=request, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {number: [(number * 100 + item) * 10 for item in range(5)] for number in range(16)}


def test_an_item_costs_less_than_50_microseconds() -> None:
    # In a process of its own, which no coverage tracer slows down; CPU time, which no neighbour does.
    program = """
import time
from fer_service.onnx.batcher import Batcher

batcher = Batcher(lambda items: items, max_batch=64, max_queue=10_000)
batcher.start()
costs = []
for _ in range(3):
    began = time.process_time()
    for future in batcher.submit(range(10_000)):
        future.result(20)
    costs.append((time.process_time() - began) / 10_000)
batcher.drain()
print(min(costs))
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(printed.stdout) < 50e-6
