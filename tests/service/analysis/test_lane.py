import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from functools import partial

import pytest
from fer_service.analysis.lane import _MAX_TURNS, Lane
from fer_service.contract.job import Job

SECONDS = 10


@pytest.fixture
def lane() -> Iterator[Lane]:
    made = Lane("test", 1)
    yield made
    made.stop()


class Held:
    """Work that has begun and goes on until it is freed."""

    def __init__(self, lane: Lane, job: Job | None = None) -> None:
        self.free, began = threading.Event(), threading.Event()

        def work() -> None:
            began.set()
            self.free.wait(SECONDS)

        self.future = lane.submit(work, job or Job())
        assert began.wait(SECONDS)


class Image:
    """What work holds."""


def test_clients_take_turns(lane: Lane) -> None:
    order: list[str] = []

    def note(text: str) -> Callable[[], None]:
        return lambda: order.append(text)

    held = Held(lane)
    futures = [lane.submit(note(f"a{number}"), Job(client="a")) for number in range(4)]
    futures += [lane.submit(note(f"b{number}"), Job(client="b")) for number in range(2)]
    futures += [lane.submit(note("c0"), Job(client="c"))]
    held.free.set()
    for future in futures:
        future.result(SECONDS)
    assert order == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


def test_a_client_whose_work_takes_long_gets_fewer_turns() -> None:
    order: list[str] = []
    now = 0.0

    def work(name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            nonlocal now
            now += seconds
            order.append(name)

        return run

    lane = Lane("test", 1, clock=lambda: now)
    held = Held(lane)
    futures = [lane.submit(work("long", 0.4), Job(client="a")) for _ in range(3)]
    futures += [lane.submit(work("short", 0.0), Job(client="b")) for _ in range(6)]
    held.free.set()
    for future in futures:
        future.result(SECONDS)
    assert order == ["long", *["short"] * 6, "long", "long"]
    lane.stop()


def test_a_client_that_comes_later_has_no_credit(lane: Lane) -> None:
    order: list[str] = []
    for _ in range(4):
        lane.submit(lambda: time.sleep(0.06), Job(client="a")).result(SECONDS)
    held = Held(lane, Job(client="a"))
    futures = [lane.submit(lambda client=client: order.append(client), Job(client=client)) for client in "bbba"]
    held.free.set()
    for future in futures:
        future.result(SECONDS)
    assert order[-1] == "b"


def test_no_memory_is_kept_of_clients_that_do_not_come_again(lane: Lane) -> None:
    for number in range(20):
        lane.submit(lambda: None, Job(client=str(number))).result(SECONDS)
    assert len(lane._used) <= 1  # the last one, if its thread is not yet free
    held, clients = Held(lane), range(_MAX_TURNS + 100)
    futures = [lane.submit(lambda: None, Job(client=str(number))) for number in clients]
    held.free.set()
    for future in futures:
        future.result(SECONDS)
    assert len(lane._used) <= _MAX_TURNS


def test_results_and_errors_reach_the_caller(lane: Lane) -> None:
    assert lane.submit(lambda: 42, Job()).result(SECONDS) == 42
    with pytest.raises(ZeroDivisionError):
        lane.submit(lambda: 1 // 0, Job()).result(SECONDS)


def test_cancelled_work_does_not_run(lane: Lane) -> None:
    ran: list[int] = []
    held = Held(lane)
    dropped, kept = (lane.submit(lambda number=number: ran.append(number), Job()) for number in (1, 2))
    assert dropped.cancel()
    held.free.set()
    kept.result(SECONDS)
    assert ran == [2]


def test_cancelled_work_is_dropped_while_the_threads_are_busy(lane: Lane) -> None:
    image = Image()
    dropped = weakref.ref(image)
    held = Held(lane)
    future = lane.submit(partial(id, image), Job())
    del image
    assert dropped() is not None
    assert future.cancel()
    assert dropped() is None
    held.free.set()


def test_a_result_is_kept_only_by_its_caller(lane: Lane) -> None:
    gc.disable()
    try:
        future = lane.submit(Image, Job())
        result = weakref.ref(future.result(SECONDS))
        lane.submit(lambda: None, Job()).result(SECONDS)  # the thread has left the work
        assert result() is not None
        del future
        assert result() is None
    finally:
        gc.enable()


def test_work_past_its_deadline_is_named_while_it_runs(lane: Lane) -> None:
    job = Job(time.monotonic() + 3600)
    held = Held(lane, job)
    assert lane.overdue() == []
    job.cancel()
    assert lane.overdue() == [], "work that nobody wants any more may still be in time"
    job.deadline = time.monotonic() - 1
    assert lane.overdue() == [job]
    at_the_answer: list[list[Job]] = []
    held.future.add_done_callback(lambda _: at_the_answer.append(lane.overdue()))
    held.free.set()
    held.future.result(SECONDS)
    lane.stop()
    assert at_the_answer == [[]], "it runs no more when its result is known"


def test_cancelled_work_does_not_keep_the_work_behind_it_from_starting() -> None:
    lane = Lane("test", 2, 1)
    held = Held(lane, Job(client="a"))
    waiting = [lane.submit(lambda: None, Job(client="a")) for _ in range(3)]
    until = time.monotonic() + SECONDS
    while lane._idle < len(waiting):  # the other thread has found that the client may not have it
        assert time.monotonic() < until
        time.sleep(0.001)
    assert waiting[0].cancel()
    held.free.set()
    for future in waiting[1:]:
        future.result(SECONDS)
    lane.stop()


def test_all_turns_of_a_client_share_its_threads() -> None:
    lane = Lane("test", 2, 1)
    order: list[str] = []
    held = Held(lane, Job(client="a"))
    second = lane.submit(lambda: order.append("a"), Job(client="a", turn="batches of a"))
    lane.submit(lambda: order.append("b"), Job(client="b")).result(SECONDS)
    assert order == ["b"]
    held.free.set()
    second.result(SECONDS)
    lane.stop()


def test_a_stop_drops_what_waits_and_finishes_what_runs() -> None:
    lane = Lane("test", 1)
    held = Held(lane)
    waiting = lane.submit(lambda: None, Job())
    threading.Timer(0.1, held.free.set).start()
    lane.stop()
    assert held.future.done()
    with pytest.raises(CancelledError):
        waiting.result(0)


def test_every_thread_runs_the_work_once() -> None:
    lane, threads = Lane("test", 3), []
    lane.run_in_each(lambda: threads.append(threading.get_ident()))
    lane.stop()
    assert len(set(threads)) == 3


def test_threads_that_cannot_start_end_those_that_wait_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def start_two(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    lane = Lane("few", 3)
    monkeypatch.setattr(threading.Thread, "start", start_two)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        lane.run_in_each(lambda: None)
    monkeypatch.undo()
    lane.stop()
    assert not any(thread.is_alive() for thread in started)
