"""Work-conserving batching: whenever the device is free, it takes what waits, up to a maximum.

Knows neither onnxruntime nor HTTP. One thread runs the batches; nothing polls and nobody waits for a batch to
fill, so a lone item goes at once and a crowd shares the device. The idea is that of text-embeddings-inference's
queue; the unit here is one item with one future, so a batch may hold parts of several requests.
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
    """The items do not fit into the queue; none of them was taken."""


class Stopped(Exception):
    """The batcher takes nothing more."""


class Batched(NamedTuple, Generic[Result]):
    """One item's result and what its batch took.

    Attributes:
        value: The result.
        queued: Seconds from `submit` until the batch began.
        ran: Seconds the batch ran.
        size: Items in the batch.
    """

    value: Result
    queued: float
    ran: float
    size: int


class _Waiting(NamedTuple, Generic[Item, Result]):
    item: Item
    future: "Future[Batched[Result]]"
    since: float
    expired: Callable[[], bool]


class Batcher(Generic[Item, Result]):
    """A queue, and one thread that empties it in batches.

    Attributes:
        max_batch: Most items a batch.
        max_queue: Most items that may wait.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Result]],
        *,
        max_batch: int,
        max_queue: int,
        first: Callable[[], None] | None = None,
        on_depth: Callable[[int], None] | None = None,
        name: str = "batcher",
    ) -> None:
        """Prepare; nothing runs before `start`.

        Args:
            run: From a batch of items to their results, in order; called by one thread.
            max_batch: Most items a batch.
            max_queue: Most items that may wait.
            first: Done by that thread before its first batch: a CUDA graph belongs to the thread that recorded it.
            on_depth: Told how many items wait whenever that changes, in the order of the changes; must be quick.
            name: Of the thread.
        """
        self.max_batch = max_batch
        self.max_queue = max_queue
        self._run = run
        self._first = first or (lambda: None)
        self._begun: Future[None] = Future()
        self._on_depth = on_depth or (lambda depth: None)
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread, and wait until it has done what comes first.

        Raises:
            Exception: what `first` raised; the thread has ended.
        """
        self._thread.start()
        self._begun.result()

    def submit(
        self, items: Sequence[Item], expired: Callable[[], bool] = lambda: False
    ) -> list["Future[Batched[Result]]"]:
        """Queue items, all or none.

        Args:
            items: What to run.
            expired: Called before their batch runs; if true, they are skipped and fail with TimeoutError.

        Returns:
            One future an item, in order. A cancelled one is skipped.

        Raises:
            QueueFull: they do not all fit.
            Stopped: the batcher is draining.
        """
        now = time.monotonic()
        waiting: list[_Waiting[Item, Result]] = [_Waiting(item, Future(), now, expired) for item in items]
        with self._changed:
            if self._stopping:
                raise Stopped("the batcher takes nothing more")
            if len(self._queue) + len(waiting) > self.max_queue:
                raise QueueFull(f"{len(self._queue)} of {self.max_queue} items wait already")
            self._queue.extend(waiting)
            self._on_depth(len(self._queue))
            self._changed.notify()
        return [entry.future for entry in waiting]

    def drain(self, timeout: float | None = None) -> bool:
        """Take nothing more, finish what waits, end the thread; True when it has ended in time."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def depth(self) -> int:
        """Items that wait."""
        return len(self._queue)

    def _serve(self) -> None:
        try:
            self._first()
        except Exception as error:  # whatever it is belongs to who starts
            self._begun.set_exception(error)
            return
        self._begun.set_result(None)
        while batch := self._take():
            self._answer(batch)

    def _take(self) -> list[_Waiting[Item, Result]]:
        """The next batch of items that are still wanted; empty when there will be none."""
        while True:
            with self._changed:
                while not self._queue and not self._stopping:
                    self._changed.wait()
                if not self._queue:
                    return []
                taken = [self._queue.popleft() for _ in range(min(self.max_batch, len(self._queue)))]
                self._on_depth(len(self._queue))
            wanted = [entry for entry in taken if _still_wanted(entry)]
            if wanted:
                return wanted

    def _answer(self, batch: list[_Waiting[Item, Result]]) -> None:
        began = time.monotonic()
        try:
            results = self._run([entry.item for entry in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"a batch of {len(batch)} gave {len(results)} results")
        except Exception as error:  # whatever it is belongs to this batch's callers
            for entry in batch:
                entry.future.set_exception(error)
            return
        ran = time.monotonic() - began
        for entry, result in zip(batch, results, strict=True):
            entry.future.set_result(Batched(result, began - entry.since, ran, len(batch)))


def _still_wanted(entry: _Waiting[Item, Result]) -> bool:
    if not entry.future.set_running_or_notify_cancel():
        return False
    if entry.expired():
        entry.future.set_exception(TimeoutError("the item expired in the queue"))
        return False
    return True
