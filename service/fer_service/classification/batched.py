"""A classifier on a GPU under load: crops that wait at the same time share a run of its network."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fer_service.classification.classifier import Classifier
from fer_service.contract.bundle import Bundle
from fer_service.contract.job import Job
from fer_service.onnx.shared_runs import SharedRuns


class BatchedClassifier:
    """A classifier behind the `Classifier` protocol; one thread of its own runs the network.

    A batch may hold crops of several images, and one image may need several batches.

    Attributes:
        runs: The shared runs of the network; start them before the first crop.
    """

    def __init__(
        self, classifier: Classifier, *, max_batch: int, max_queue: int, on_batch: Callable[[int], None]
    ) -> None:
        """Prepare the shared runs.

        Args:
            classifier: Classifier whose runs are shared.
            max_batch: Maximum crops per run.
            max_queue: Maximum crops that wait.
            on_batch: Called with the number of crops of every run.
        """
        self.bundle: Bundle = classifier.bundle
        self.provider, self.on_gpu = classifier.provider, classifier.on_gpu
        self.runs: SharedRuns[NDArray[np.uint8], NDArray[np.float32]] = SharedRuns(
            "classifier",
            lambda crops: list(classifier.classify(crops)),
            warm=lambda: classifier.warm(max_batch),
            max_batch=max_batch,
            max_queue=max_queue,
            on_batch=on_batch,
        )

    def classify(self, crops: Sequence[NDArray[np.uint8]], job: Job | None = None) -> NDArray[np.float32]:
        """Classify the crops of an image (see `Classifier.classify` and `SharedRuns.run`)."""
        return np.stack(self.runs.run(crops, job or Job()))

    def warm(self, max_batch: int) -> None:
        """Do nothing: the thread that runs the network warms it."""
