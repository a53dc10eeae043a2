"""A network on a GPU under load: images that wait at the same time share a run of it."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic

from fer_service.contract.errors import NotReady, Overloaded
from fer_service.contract.job import Job
from fer_service.onnx.batcher import Batched, Batcher, Item, QueueFull, Result, Stopped


class SharedRuns(Generic[Item, Result]):
    """A batcher for threads that each wait for the items of one image."""

    def __init__(
        self,
        name: str,
        run: Callable[[list[Item]], Sequence[Result]],
        *,
        warm: Callable[[], None],
        max_batch: int,
        max_queue: int,
        on_batch: Callable[[int], None],
    ) -> None:
        """Prepare; call `start` before the first item.

        Args:
            name: Name of the network, for messages and for the thread.
            run: From a batch of items to their results, in order.
            warm: Called in the thread before its first batch.
            max_batch: Maximum items per run.
            max_queue: Maximum items that wait.
            on_batch: Called with the number of items of every run.
        """
        self._name = name

        def counted(items: list[Item]) -> Sequence[Result]:
            on_batch(len(items))
            return run(items)

        self._batcher: Batcher[Item, Result] = Batcher(
            counted, setup=warm, max_batch=max_batch, max_queue=max_queue, name=name
        )

    def start(self) -> None:
        """Start the thread and warm the network in it.

        Raises:
            ProviderError: the device cannot run the network.
        """
        self._batcher.start()

    def stop(self) -> None:
        """Finish the queued items and end the thread."""
        self._batcher.drain()

    @property
    def alive(self) -> bool:
        """True while the thread runs."""
        return self._batcher.alive

    @property
    def depth(self) -> int:
        """Number of items that wait."""
        return self._batcher.depth

    def run(self, items: Sequence[Item], job: Job) -> list[Result]:
        """Run the items of one image; all enter the queue, or none. Blocks until their batches have run.

        Args:
            items: What to run.
            job: Takes the time in the queue; items that are queued when it expires are skipped.

        Returns:
            One result per item, in order.

        Raises:
            NotReady: the thread has ended.
            Overloaded: the items do not fit into the queue.
            DeadlineExceeded: the job expired in the queue.
        """
        futures: list[Future[Batched[Result]]] = []
        try:
            futures = self._batcher.submit(items, job.expired)
            batched = [future.result() for future in futures]
        except Stopped as error:
            raise NotReady(f"the {self._name} thread has ended") from error
        except QueueFull as error:
            raise Overloaded(f"the {self._name} queue is full: {error}") from error
        except TimeoutError:
            job.check_deadline(f"the {self._name}")
            raise
        finally:
            for future in futures:
                future.cancel()  # what a failed batch of the same image leaves in the queue
        # The items wait side by side, so the longest wait is the image's.
        job.queued(max(answer.queued for answer in batched))
        return [answer.value for answer in batched]
