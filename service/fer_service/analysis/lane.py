"""A pool of threads in which clients take turns."""

import contextlib
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from fer_service.contract.job import Job

_START_SECONDS: Final = 60  # for all threads to start
_LEAST_SECONDS: Final = 0.05  # what shorter work counts: such clients take turns one by one
_MAX_TURNS: Final = 1000  # remembered although nothing of theirs waits
_Result = TypeVar("_Result")


class _Work:
    """A function to run, until it has run or is cancelled: then what it holds is freed, such as an image."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function: Callable[[], Any] | None = function

    def drop(self, _: Future[Any]) -> None:
        self.function = None


class Lane:
    """Runs work in threads. Waiting work of the client that has used the least time runs next.

    So a client with much work delays only itself, and one whose images take a second each gets fewer turns than
    one whose images take milliseconds (start-time fair queueing, Goyal, Vin and Cheng 1996).
    """

    def __init__(
        self,
        name: str,
        threads: int,
        per_client: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; threads start when they are needed.

        Args:
            name: Prefix of the threads' names.
            threads: Number of threads.
            per_client: Number of threads that one client can have at a time; None does not limit it.
            clock: Seconds; measures the work.
        """
        self.threads = threads
        self._per_client, self._clock = per_client or threads, clock
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, deque[tuple[Future[Any], _Work, Job]]] = OrderedDict()  # by turn
        self._running: set[Job] = set()
        self._threads_of: Counter[str] = Counter()
        self._idle = 0  # threads that were free while no client could have another one
        self._used: dict[str, float] = {}  # seconds by turn, counted from what others had used when it came
        self._now = 0.0  # seconds that had been used by whose turn was last

    def submit(self, work: Callable[[], _Result], job: Job) -> "Future[_Result]":
        """Queue work.

        Args:
            work: Runs in a thread.
            job: Whose work it is, and until when the result is wanted.
        """
        future: Future[_Result] = Future()
        waiting = _Work(work)
        future.add_done_callback(waiting.drop)
        with self._lock:
            if job.turn not in self._waiting:
                self._waiting[job.turn] = deque()
                self._used[job.turn] = max(self._used.get(job.turn, 0.0), self._now)
            self._waiting[job.turn].append((future, waiting, job))
        # The pool only says how many may run. Which one runs next is decided when a thread is free.
        self._pool.submit(self._run_next)
        return future

    def run_in_each(self, work: Callable[[], None]) -> None:
        """Start all threads and run `work` once in each.

        Raises:
            RuntimeError: a thread cannot be started.
        """
        barrier = threading.Barrier(self.threads)

        def run(_: int) -> None:
            barrier.wait(_START_SECONDS)
            work()

        try:
            list(self._pool.map(run, range(self.threads)))
        except BaseException:
            barrier.abort()  # threads that wait for others would keep the process
            raise

    def overdue(self) -> list[Job]:
        """Return the jobs that still run after their deadline."""
        with self._lock:
            return [job for job in self._running if job.overdue()]

    def stop(self) -> None:
        """Drop what waits, and wait for what runs."""
        with self._lock:
            dropped = [future for queue in self._waiting.values() for future, _, _ in queue]
            self._waiting.clear()
        for future in dropped:
            future.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run_next(self) -> None:
        with self._lock:
            while True:
                ready = [turn for turn, queue in self._waiting.items() if self._may_run(queue[0][2])]
                if not ready:  # stopped, or the clients that wait have all their threads
                    self._idle += bool(self._waiting)
                    return
                turn = min(ready, key=self._used.__getitem__)
                queue = self._waiting[turn]
                future, waiting, job = queue.popleft()
                self._waiting.move_to_end(turn)
                if not queue:
                    del self._waiting[turn]
                # A thread that takes cancelled work takes the next one instead: nothing else would start that.
                if future.set_running_or_notify_cancel() and (work := waiting.function):
                    break
            self._running.add(job)
            self._threads_of[job.client] += 1
            self._now = self._used[turn]
            self._used[turn] += _LEAST_SECONDS
        # The thread is free before the result is known: who asks again at once finds it so.
        try:
            result = self._timed(work, job)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    def _may_run(self, job: Job) -> bool:
        return self._threads_of[job.client] < self._per_client

    def _timed(self, work: Callable[[], _Result], job: Job) -> _Result:
        """Run the work, then count its time and free what it held."""
        began = self._clock()
        try:
            return work()
        finally:
            with self._lock:
                self._running.discard(job)
                self._threads_of[job.client] -= 1
                if self._idle:
                    self._idle -= 1
                    self._run_later()
                more = max(0.0, self._clock() - began - _LEAST_SECONDS)
                self._used[job.turn] = self._used.get(job.turn, self._now) + more
                self._forget()

    def _run_later(self) -> None:
        with contextlib.suppress(RuntimeError):  # the pool is stopped, and nothing waits any more
            self._pool.submit(self._run_next)

    def _forget(self) -> None:
        """Forget what clients have used: all of it if there is no work, else that of those who have used least."""
        if not self._waiting and not self._running:
            self._now = max(self._used.values(), default=self._now)
            self._used.clear()
            self._threads_of.clear()
        elif len(self._used) > _MAX_TURNS:
            idle = sorted(self._used.keys() - self._waiting.keys(), key=self._used.__getitem__)
            for turn in idle[: _MAX_TURNS // 2]:
                del self._used[turn]
            self._threads_of = +self._threads_of
