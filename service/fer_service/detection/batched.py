"""A detector on a GPU under load: images that wait at the same time share a run of its network."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.job import Job
from fer_service.detection.detector import BatchDetector, Face, RawDetections
from fer_service.onnx.shared_runs import SharedRuns

MAX_BATCH: Final = 32  # larger batches need more device memory and are not faster per image


class BatchedDetector:
    """A batch detector behind the `Detector` protocol; one thread of its own runs the network.

    Attributes:
        runs: The shared runs of the network; start them before the first image.
    """

    def __init__(
        self, detector: BatchDetector, *, max_batch: int, max_queue: int, on_batch: Callable[[int], None]
    ) -> None:
        """Prepare the shared runs.

        Args:
            detector: Detector whose runs are shared.
            max_batch: Maximum images per run, at most MAX_BATCH.
            max_queue: Number of threads that call `detect`; each waits for one image at a time.
            on_batch: Called with the number of images of every run.
        """
        self._detector = detector
        self.name, self.side, self.frame_scale = detector.name, detector.side, detector.frame_scale
        max_batch = min(max_batch, MAX_BATCH)
        self.runs: SharedRuns[NDArray[np.uint8], RawDetections] = SharedRuns(
            "detector",
            detector.run,
            warm=lambda: detector.warm(max_batch),
            max_batch=max_batch,
            max_queue=max_queue,
            on_batch=on_batch,
        )

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        """Find the faces of an image (see `Detector.detect` and `SharedRuns.run`)."""
        (raw,) = self.runs.run([self._detector.preprocess(pixels)], job or Job())
        return self._detector.postprocess(raw, pixels.shape[:2], min_score)
