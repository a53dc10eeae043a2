"""A pool of threads in which clients take turns."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from fer_service.contract.job import Job

_START_SECONDS: Final = 60  # for all threads to start
_Result = TypeVar("_Result")


class Lane:
    """Runs work in threads. Where work waits, the clients take turns: one with much work delays only itself."""

    def __init__(self, name: str, threads: int) -> None:
        """Prepare; threads start when they are needed.

        Args:
            name: Prefix of the threads' names.
            threads: Number of threads.
        """
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, deque[tuple[Future[Any], Callable[[], Any], Job]]] = OrderedDict()
        self._running: set[Job] = set()

    def submit(self, work: Callable[[], _Result], job: Job) -> "Future[_Result]":
        """Queue work.

        Args:
            work: Runs in a thread.
            job: Whose work it is, and until when the result is wanted.
        """
        future: Future[_Result] = Future()
        with self._lock:
            self._waiting.setdefault(job.client, deque()).append((future, work, job))
        # The pool only says how many may run. Which one runs next is decided when a thread is free.
        self._pool.submit(self._run_next)
        return future

    def run_in_each(self, work: Callable[[], None]) -> None:
        """Start all threads and run `work` once in each."""
        barrier = threading.Barrier(self.threads)

        def run(_: int) -> None:
            barrier.wait(_START_SECONDS)
            work()

        list(self._pool.map(run, range(self.threads)))

    def overdue(self) -> list[Job]:
        """Return the jobs that still run after their deadline."""
        with self._lock:
            return [job for job in self._running if job.expired()]

    def stop(self) -> None:
        """Drop what waits, and wait for what runs."""
        with self._lock:
            waiting = [future for queue in self._waiting.values() for future, _, _ in queue]
            self._waiting.clear()
        for future in waiting:
            future.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run_next(self) -> None:
        with self._lock:
            if not self._waiting:  # stopped
                return
            client, queue = next(iter(self._waiting.items()))
            future, work, job = queue.popleft()
            self._waiting.move_to_end(client)
            if not queue:
                del self._waiting[client]
            if not future.set_running_or_notify_cancel():
                return
            self._running.add(job)
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)
        finally:
            with self._lock:
                self._running.discard(job)
