"""A classifier on a GPU under load: crops that wait at the same time share a run of its network."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fer_service.classification.classifier import Classifier
from fer_service.contract.bundle import Bundle
from fer_service.contract.errors import NotReady, Overloaded
from fer_service.contract.job import Job
from fer_service.onnx.batcher import Batcher, QueueFull, Stopped


class BatchedClassifier:
    """A classifier behind the `Classifier` protocol; one thread of its own runs the network.

    All crops of an image enter the queue, or none. A batch may hold crops of several images, and one image may
    need several batches.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        max_batch: int,
        max_queue: int,
        on_batch: Callable[[int], None],
    ) -> None:
        """Prepare; call `start` before the first crop.

        Args:
            classifier: Classifier whose runs are shared.
            max_batch: Maximum crops per run.
            max_queue: Maximum crops that wait.
            on_batch: Called with the number of crops of every run.
        """
        self._classifier = classifier
        self.bundle: Bundle = classifier.bundle
        self.provider, self.on_gpu = classifier.provider, classifier.on_gpu

        def run(crops: list[NDArray[np.uint8]]) -> Sequence[NDArray[np.float32]]:
            on_batch(len(crops))
            return list(classifier.classify(crops))

        self._batcher: Batcher[NDArray[np.uint8], NDArray[np.float32]] = Batcher(
            run,
            setup=lambda: classifier.warm(max_batch),
            max_batch=max_batch,
            max_queue=max_queue,
            name="classifier",
        )

    def start(self) -> None:
        """Start the thread and warm the network in it.

        Raises:
            ProviderError: the device cannot run the network.
        """
        self._batcher.start()

    def stop(self) -> None:
        """Finish the queued crops and end the thread."""
        self._batcher.drain()

    @property
    def alive(self) -> bool:
        """True while the thread runs."""
        return self._batcher.alive

    def classify(self, crops: Sequence[NDArray[np.uint8]], job: Job | None = None) -> NDArray[np.float32]:
        """Classify the crops of an image (see `Classifier.classify`); blocks until their batches have run.

        Raises:
            NotReady: the thread has ended.
            Overloaded: the crops do not fit into the queue.
            DeadlineExceeded: the job's deadline passed in the queue.
        """
        job = job or Job()
        try:
            futures = self._batcher.submit(crops, job.expired)
            batched = [future.result() for future in futures]
        except Stopped as error:
            raise NotReady("the classifier thread has ended") from error
        except QueueFull as error:
            raise Overloaded(f"the classifier queue is full: {error}") from error
        except TimeoutError:
            job.check_deadline("the classifier")
            raise
        # The crops wait side by side, so the longest wait is the image's.
        job.queued(max(answer.queued for answer in batched))
        return np.stack([answer.value for answer in batched])

    def warm(self, max_batch: int) -> None:
        """Do nothing: `start` warms the network in the thread that runs it."""
