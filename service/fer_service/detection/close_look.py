"""A close look at doubtful faces.

Hands, ears and patterns next to a face can score like faces, but not at every size. So a doubtful one is cut out
of the image at a fixed size, and must be found there too. docs/decisions/scales.md has what this finds and costs.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.boxes import iou
from fer_service.contract.bundle import CropGeometry
from fer_service.contract.job import Job
from fer_service.detection.detector import Detector, Face
from fer_service.imaging.crop import Square, crop

# More faces are a crowd, in which a weak score is usual.
MAX_FACES: Final = 3
SURE_SCORE: Final = 0.97
# Of the wanted score, in the close look: hidden and turned faces have low scores there.
SCORE_RATIO: Final = 1 / 3
# Pixels: height of the face in the close look, and side of the look.
FACE_HEIGHT: Final = 80.0
SIDE: Final = 192
_OVERLAP: Final = 0.3  # boxes that overlap by more (IoU) are the same face


def confirmed_closely(
    network: Detector, pixels: NDArray[np.uint8], faces: Sequence[Face], min_score: float, job: Job | None
) -> list[Face]:
    """Return the faces without those that a close look does not show; the best one and the highest one stay.

    Args:
        network: Finds the faces of one look.
        pixels: The image uint8 [H, W, 3].
        faces: Its faces, best first. A crowd is returned as it is.
        min_score: The wanted score.
        job: See `Detector.detect`.
    """
    if len(faces) > MAX_FACES:
        return list(faces)
    highest = max((face.box.height for face in faces), default=0.0)

    def stays(face: Face) -> bool:
        return face.box.height >= highest or _is_sure(face) or _shows(network, pixels, face, min_score, job)

    return [*faces[:1], *filter(stays, faces[1:])]


def is_upright_at(
    detector: Detector, pixels: NDArray[np.uint8], face: Face, roll: float, min_score: float, job: Job | None
) -> bool:
    """Return True if a close look that is turned by an angle shows an upright face.

    Args:
        detector: Finds upright faces.
        pixels: The image uint8 [H, W, 3].
        face: Where to look.
        roll: The angle, in degrees clockwise.
        min_score: The wanted score.
        job: See `Detector.detect`.
    """
    scale, middle = FACE_HEIGHT / max(face.box.width, face.box.height), SIDE / 2
    square = Square(*face.box.center, SIDE / scale, math.radians(roll))
    found = detector.detect(crop(pixels, square, SIDE, CropGeometry()), min_score, job)
    return any(
        each.box.x <= middle <= each.box.x + each.box.width
        and each.box.y <= middle <= each.box.y + each.box.height
        for each in found
    )


def _is_sure(face: Face) -> bool:
    return (face.score or 0) >= SURE_SCORE


def _shows(network: Detector, pixels: NDArray[np.uint8], face: Face, min_score: float, job: Job | None) -> bool:
    scale, middle = FACE_HEIGHT / face.box.height, SIDE / 2
    look = crop(pixels, Square(*face.box.center, SIDE / scale), SIDE, CropGeometry())
    found = np.array([each.box for each in network.detect(look, min_score * SCORE_RATIO, job)], np.float64)
    width = face.box.width * scale
    expected = np.array([middle - width / 2, middle - FACE_HEIGHT / 2, width, FACE_HEIGHT])
    return bool((iou(expected, found.reshape(-1, 4)) > _OVERLAP).any())
