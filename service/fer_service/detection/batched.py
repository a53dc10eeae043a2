"""A detector on a GPU under load: images that wait at the same time share a run of its network."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.errors import NotReady, Overloaded
from fer_service.detection.detector import Answer, BatchDetector, Face
from fer_service.onnx.batcher import Batcher, QueueFull, Stopped

MOST: Final = 32  # images a run; more need memory on the device and save nothing any more


class BatchedDetector:
    """A batch detector behind the `Detector` protocol, with a thread of its own that runs its network."""

    def __init__(self, detector: BatchDetector, *, threads: int, on_batch: Callable[[int], None]) -> None:
        """Prepare; `start` before the first image.

        Args:
            detector: Whose runs are shared.
            threads: That ask for faces; each waits for one image at a time.
            on_batch: Told the images of every run.
        """
        self._detector = detector
        self.name, self.side, self.frame_scale = detector.name, detector.side, detector.frame_scale

        def run(images: list[NDArray[np.uint8]]) -> Sequence[Answer]:
            on_batch(len(images))
            return detector.run(images)

        most = min(threads, MOST)
        self._batcher: Batcher[NDArray[np.uint8], Answer] = Batcher(
            run, first=lambda: detector.warm(most), max_batch=most, max_queue=threads, name="detector"
        )

    def start(self) -> None:
        """Start the thread and let it warm the network.

        Raises:
            ProviderError: the device cannot run it.
        """
        self._batcher.start()

    def stop(self) -> None:
        """Finish what waits and end the thread."""
        self._batcher.drain()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._batcher.alive

    def detect(self, pixels: NDArray[np.uint8], min_score: float) -> list[Face]:
        """Find the faces of an image (see `Detector.detect`); waits for the run that has it.

        Raises:
            NotReady: the thread has ended.
            Overloaded: more images wait than there are threads.
        """
        try:
            (future,) = self._batcher.submit([self._detector.fitted(pixels)])
        except Stopped as error:
            raise NotReady("the detector's thread has ended") from error
        except QueueFull as error:
            raise Overloaded(f"the detector's queue is full: {error}") from error
        return self._detector.faces(future.result().value, pixels.shape[:2], min_score)
