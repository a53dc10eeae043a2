"""Detection in two passes: a coarse pass, and a fine one only if the coarse one is not conclusive.

Most images show one or a few large faces. A detector finds those with fewer pixels, in a fraction of the time.
What this misses and what it saves is measured in docs/decisions/coarse-first.md, and so are the three constants.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.job import Job
from fer_service.detection.detector import Detector, Face

# The coarse pass also collects candidates down to this share of the wanted score: at half the size, a small face
# next to a large one scores no more.
CANDIDATE_SCORE_RATIO: Final = 1 / 6
# Pixels of the coarse image. Boxes of smaller faces are less exact, and still smaller faces may be missed.
MIN_FACE_HEIGHT: Final = 32.0
# A smaller image, as a multiple of the coarse side, gets the fine pass only: two passes would save nothing.
MIN_SIZE_RATIO: Final = 2.0


class CoarseFirst:
    """Two passes behind the `Detector` protocol."""

    def __init__(self, coarse: Detector, fine: Detector) -> None:
        """Join two detectors of the same network.

        Args:
            coarse: Detector with the smaller side.
            fine: Detector with the larger side; the pair has its name, side and frame scale.
        """
        self.coarse, self.fine = coarse, fine
        self.name, self.side, self.frame_scale = fine.name, fine.side, fine.frame_scale

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        """Find the faces of an image (see `Detector.detect`)."""
        faces = self.detect_coarse(pixels, min_score) if self.has_coarse_pass(pixels) else None
        return self.fine.detect(pixels, min_score) if faces is None else faces

    def has_coarse_pass(self, pixels: NDArray[np.uint8]) -> bool:
        """Return True if the image is large enough for a coarse pass to save time."""
        return bool(max(pixels.shape[:2]) >= MIN_SIZE_RATIO * self.coarse.side)

    def detect_coarse(self, pixels: NDArray[np.uint8], min_score: float) -> list[Face] | None:
        """Run the coarse pass.

        Returns:
            The faces, or None if the fine pass is needed: no face was found, a face is small, or a candidate
            scores less than `min_score`.
        """
        found = self.coarse.detect(pixels, min_score * CANDIDATE_SCORE_RATIO)
        min_height = MIN_FACE_HEIGHT * max(pixels.shape[:2]) / self.coarse.side
        conclusive = found and all(
            (face.score or 0) >= min_score and face.box.height >= min_height for face in found
        )
        return found if conclusive else None
