"""A first look at a coarse image, and a second one only where the first leaves a doubt.

Most images show one or a few near faces, and those a detector sees as well with fewer pixels, in a fraction of
the time. What that leaves out and what it saves was measured: docs/decisions/coarse-first.md.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.job import Job
from fer_service.detection.detector import Detector, Face

DOUBT: Final = 1 / 6  # of the wanted score: small faces beside a near one score no more at half the size
NEAR: Final = 32.0  # pixels of the coarse image; lower faces' boxes are less exact, and others may be lower yet
WORTH: Final = 2.0  # times the coarse side; a smaller image is looked at once


class CoarseFirst:
    """Two looks behind the `Detector` protocol."""

    def __init__(self, coarse: Detector, fine: Detector) -> None:
        """Join two detectors of the same network.

        Args:
            coarse: With the smaller side.
            fine: With the larger side; the two are known by its name, side and frame.
        """
        self.coarse, self.fine = coarse, fine
        self.name, self.side, self.frame_scale = fine.name, fine.side, fine.frame_scale

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        """Find the faces of an image (see `Detector.detect`)."""
        faces = self.first_look(pixels, min_score) if self.pays(pixels) else None
        return self.fine.detect(pixels, min_score) if faces is None else faces

    def pays(self, pixels: NDArray[np.uint8]) -> bool:
        """Whether an image is large enough for a first look to save anything."""
        return bool(max(pixels.shape[:2]) >= WORTH * self.coarse.side)

    def first_look(self, pixels: NDArray[np.uint8], min_score: float) -> list[Face] | None:
        """The faces of an image where the first look settles them, else None.

        It does where it finds a face, all its faces are near, and nothing else resembles one.
        """
        found = self.coarse.detect(pixels, min_score * DOUBT)
        lowest = NEAR * max(pixels.shape[:2]) / self.coarse.side
        settled = found and all((face.score or 0) >= min_score and face.box.height >= lowest for face in found)
        return found if settled else None
