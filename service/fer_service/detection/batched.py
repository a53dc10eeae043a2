"""A detector that batches the images of several threads: on a GPU a batch costs less than single runs."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.errors import NotReady, Overloaded
from fer_service.contract.job import Job
from fer_service.detection.detector import BatchDetector, Face, RawDetections
from fer_service.onnx.batcher import Batcher, QueueFull, Stopped

MAX_BATCH: Final = 32  # larger batches need more device memory and are no faster per image


class BatchedDetector:
    """A batch detector behind the `Detector` protocol; one thread of its own runs the network."""

    def __init__(self, detector: BatchDetector, *, threads: int, on_batch: Callable[[int], None]) -> None:
        """Prepare; call `start` before the first image.

        Args:
            detector: Detector to batch.
            threads: Number of threads that call `detect`; each waits for one image at a time.
            on_batch: Called with the size of every batch.
        """
        self._detector = detector
        self.name, self.side, self.frame_scale = detector.name, detector.side, detector.frame_scale

        def run(images: list[NDArray[np.uint8]]) -> Sequence[RawDetections]:
            on_batch(len(images))
            return detector.run(images)

        max_batch = min(threads, MAX_BATCH)
        self._batcher: Batcher[NDArray[np.uint8], RawDetections] = Batcher(
            run,
            setup=lambda: detector.warm(max_batch),
            max_batch=max_batch,
            max_queue=threads,
            name="detector",
        )

    def start(self) -> None:
        """Start the thread and warm the network in it.

        Raises:
            ProviderError: the device cannot run the network.
        """
        self._batcher.start()

    def stop(self) -> None:
        """Finish the queued images and end the thread."""
        self._batcher.drain()

    @property
    def alive(self) -> bool:
        """True while the thread runs."""
        return self._batcher.alive

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        """Find the faces of an image (see `Detector.detect`); blocks until its batch has run.

        Raises:
            NotReady: the thread has ended.
            Overloaded: more images wait than there are threads.
            DeadlineExceeded: the job's deadline passed in the queue.
        """
        job = job or Job()
        try:
            (future,) = self._batcher.submit([self._detector.preprocess(pixels)], job.expired)
            batched = future.result()
        except Stopped as error:
            raise NotReady("the detector thread has ended") from error
        except QueueFull as error:
            raise Overloaded(f"the detector queue is full: {error}") from error
        except TimeoutError:
            job.check_deadline("the detector")
            raise
        job.queued(batched.queued)
        return self._detector.postprocess(batched.value, pixels.shape[:2], min_score)
