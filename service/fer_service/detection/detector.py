"""What a detector is, and what it finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.boxes import Box, Landmarks
from fer_service.contract.job import Job

# The network's output for one image: boxes float32 [n, 4] (x, y, width, height) and scores float32 [n].
Answer = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Face:
    """A detected face, in pixels of the image that was searched.

    Attributes:
        box: Bounding box; it may reach beyond the image.
        score: Confidence of the detector, 0 to 1; None if it gives none.
        landmarks: Right eye, left eye, nose, right and left corner of the mouth (the person's own right and left),
            each as x and y; None if the detector gives none.
    """

    box: Box
    score: float | None = None
    landmarks: Landmarks | None = None

    def scaled(self, factor_x: float, factor_y: float) -> "Face":
        """Return the same face in an image resized by these factors."""
        if factor_x == factor_y == 1:
            return self
        landmarks = self.landmarks and tuple((x * factor_x, y * factor_y) for x, y in self.landmarks)
        return Face(self.box.scaled(factor_x, factor_y), self.score, landmarks)


class Detector(Protocol):
    """Finds faces; safe to call from several threads at once."""

    @property
    def name(self) -> str:
        """For people and metrics: which detector this is."""

    @property
    def side(self) -> int:
        """Long side in pixels of the images it works on; larger ones it shrinks itself."""

    @property
    def frame_scale(self) -> float:
        """Side of the square that frames a face as FER-2013 does, as a multiple of the box's height."""

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        """Find the faces of an image.

        Args:
            pixels: uint8 [H, W, 3], RGB, upright.
            min_score: Faces with a lower score are left out; detectors without scores ignore it.
            job: The work that the image belongs to; only a detector that queues images uses it.

        Returns:
            Faces in the image's pixels, in no particular order.
        """


@runtime_checkable
class BatchDetector(Detector, Protocol):
    """A detector whose network takes several images at once; `detect` does the three steps for one of them."""

    @property
    def on_gpu(self) -> bool:
        """Whether it runs on a GPU, on which a batch costs less than its images one by one."""

    def fitted(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """An image uint8 [H, W, 3] as the network takes it; on a GPU all have one shape."""

    def run(self, images: Sequence[NDArray[np.uint8]]) -> Sequence[Answer]:
        """The network's answers to fitted images of one shape, in order."""

    def faces(self, answer: Answer, size: tuple[int, ...], min_score: float) -> list[Face]:
        """The faces of an answer, in the pixels of the image itself, whose height and width are `size`."""

    def warm(self, most: int) -> None:
        """Run every shape that batches of up to `most` images will bring."""
