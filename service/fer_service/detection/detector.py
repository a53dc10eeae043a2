"""The detector protocols and the face that detectors return."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.boxes import Box, LandmarkPoints
from fer_service.contract.job import Job

# Raw network output for one image: boxes float32 [n, 4] (x, y, width, height) and scores float32 [n].
RawDetections = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Face:
    """A detected face, in pixels of the image that was searched.

    Attributes:
        box: Bounding box; it may reach beyond the image.
        score: Confidence of the detector, 0 to 1; None if it gives none.
        landmarks: Right eye, left eye, nose, right and left corner of the mouth (the person's own right and left),
            each as x and y. Detectors leave them out: see `detection/landmarks.py`.
        roll: Right angle by which the face is turned in the image, in degrees clockwise: 0, 90, 180 or -90.
    """

    box: Box
    score: float | None = None
    landmarks: LandmarkPoints | None = None
    roll: int = 0

    @property
    def height(self) -> float:
        """Length of the box from forehead to chin in pixels."""
        return self.box.height if self.roll in (0, 180) else self.box.width

    def scaled(self, factor_x: float, factor_y: float) -> "Face":
        """Return the same face in an image resized by these factors."""
        if factor_x == factor_y == 1:
            return self
        landmarks = self.landmarks and tuple((x * factor_x, y * factor_y) for x, y in self.landmarks)
        return Face(self.box.scaled(factor_x, factor_y), self.score, landmarks, self.roll)


class Detector(Protocol):
    """Finds faces. Several threads may call it at once."""

    @property
    def name(self) -> str:
        """Name of the detector in GET /model and in the metrics."""

    @property
    def side(self) -> int:
        """Long side in pixels at which it searches; it shrinks larger images itself."""

    @property
    def frame_scale(self) -> float:
        """Side of the square that frames a face as FER-2013 does, as a multiple of the box's height."""

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        """Find the faces of an image.

        Args:
            pixels: uint8 [H, W, 3], RGB, upright.
            min_score: Minimum score of a face; detectors without scores ignore it.
            job: Work that the image belongs to; only a detector that queues images uses it.

        Returns:
            Faces in the image's pixels, in no particular order.
        """


@runtime_checkable
class Search(Detector, Protocol):
    """A detector that looks at an image several times with one network."""

    @property
    def network(self) -> Detector:
        """The network that makes each look."""

    def around(self, network: Detector) -> Detector:
        """Return the same search with another network."""


@runtime_checkable
class BatchDetector(Detector, Protocol):
    """A detector whose network takes several images per run.

    `detect` does `preprocess`, `run` and `postprocess` for one image.
    """

    @property
    def on_gpu(self) -> bool:
        """True if it runs on a GPU, where a batch costs less than its images one by one."""

    def preprocess(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize and pad an image uint8 [H, W, 3] to the network's input; on a GPU all inputs have one shape."""

    def run(self, images: Sequence[NDArray[np.uint8]]) -> Sequence[RawDetections]:
        """Run the network on preprocessed images of one shape; return one output per image, in order."""

    def postprocess(self, output: RawDetections, size: tuple[int, ...], min_score: float) -> list[Face]:
        """Return the faces of an output, in pixels of the original image of this height and width."""

    def warm(self, max_batch: int) -> None:
        """Run every input shape that batches of up to `max_batch` images need."""
