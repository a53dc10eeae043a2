"""Work-conserving dynamic batching: a free device takes the waiting items, up to a maximum.

One thread runs the batches. It does not poll and does not wait for a batch to fill: a single item runs at once,
and many share batches. The queue of text-embeddings-inference works in the same way. Each item has its own
future, so a batch may hold parts of several requests.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class QueueFull(Exception):
    """The items do not fit into the queue; none of them was queued."""


class Stopped(Exception):
    """The batcher accepts no more items."""


class Batched(NamedTuple, Generic[Result]):
    """Result of one item.

    Attributes:
        value: The result.
        queued: Seconds from `submit` to the start of the batch.
    """

    value: Result
    queued: float


class _Waiting(NamedTuple, Generic[Item, Result]):
    item: Item
    future: "Future[Batched[Result]]"
    since: float
    expired: Callable[[], bool]


class Batcher(Generic[Item, Result]):
    """A queue and a thread that empties it in batches.

    Attributes:
        max_batch: Maximum items per batch.
        max_queue: Maximum items in the queue.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Result]],
        *,
        max_batch: int,
        max_queue: int,
        setup: Callable[[], None] | None = None,
        name: str = "batcher",
    ) -> None:
        """Prepare; the thread starts with `start`.

        Args:
            run: Returns the results of a batch of items, in order; called by one thread.
            max_batch: Maximum items per batch.
            max_queue: Maximum items in the queue.
            setup: Called by the same thread before its first batch: a CUDA graph belongs to the thread that
                recorded it.
            name: Name of the thread.
        """
        self.max_batch = max_batch
        self.max_queue = max_queue
        self._run = run
        self._setup = setup or (lambda: None)
        self._ready: Future[None] = Future()
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread and wait until `setup` has returned.

        Raises:
            Exception: the exception of `setup`; the thread has ended.
        """
        self._thread.start()
        self._ready.result()

    def submit(
        self, items: Sequence[Item], expired: Callable[[], bool] = lambda: False
    ) -> list["Future[Batched[Result]]"]:
        """Queue items, all or none.

        Args:
            items: Items to run.
            expired: Called before their batch runs; if it returns True, they are skipped and fail with
                TimeoutError.

        Returns:
            One future per item, in order. Items whose future is cancelled in the queue are skipped.

        Raises:
            QueueFull: the items do not all fit.
            Stopped: the batcher is draining.
        """
        now = time.monotonic()
        waiting: list[_Waiting[Item, Result]] = [_Waiting(item, Future(), now, expired) for item in items]
        with self._changed:
            if self._stopping:
                raise Stopped("the batcher accepts no more items")
            if len(self._queue) + len(waiting) > self.max_queue:
                raise QueueFull(f"{len(self._queue)} of {self.max_queue} items are waiting")
            self._queue.extend(waiting)
            self._changed.notify()
        return [entry.future for entry in waiting]

    def drain(self, timeout: float | None = None) -> bool:
        """Accept no more items, finish the queue and end the thread; return True if it ended in time."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()

    @property
    def depth(self) -> int:
        """Number of items in the queue."""
        return len(self._queue)

    def _loop(self) -> None:
        try:
            self._setup()
        except Exception as error:  # raised again by `start`
            self._ready.set_exception(error)
            return
        self._ready.set_result(None)
        while batch := self._take():
            self._run_batch(batch)

    def _take(self) -> list[_Waiting[Item, Result]]:
        """Wait for the next batch of wanted items; return an empty list at the end."""
        while True:
            with self._changed:
                while not self._queue and not self._stopping:
                    self._changed.wait()
                if not self._queue:
                    return []
                taken = [self._queue.popleft() for _ in range(min(self.max_batch, len(self._queue)))]
            wanted = [entry for entry in taken if _still_wanted(entry)]
            if wanted:
                return wanted

    def _run_batch(self, batch: list[_Waiting[Item, Result]]) -> None:
        started = time.monotonic()
        try:
            results = self._run([entry.item for entry in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"a batch of {len(batch)} items returned {len(results)} results")
        except Exception as error:  # raised by the futures of this batch
            for entry in batch:
                entry.future.set_exception(error)
            return
        for entry, result in zip(batch, results, strict=True):
            entry.future.set_result(Batched(result, started - entry.since))


def _still_wanted(entry: _Waiting[Item, Result]) -> bool:
    if not entry.future.set_running_or_notify_cancel():
        return False
    if entry.expired():
        entry.future.set_exception(TimeoutError("the item expired in the queue"))
        return False
    return True
