"""Quality of a face: how well the image shows it."""

import math
from operator import add, mul, sub
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_service.contract.boxes import Box, LandmarkPoints
from fer_service.contract.schemas import Pose, Quality
from fer_service.detection.detector import Face

# A face in millimetres, in the order of `LandmarkPoints`: x to the right in an image of the face from the front, y
# down, z away from the camera. The pupils are 63 mm apart (Dodgson 2004, "Variation and extrema of human
# interpupillary distance"). Nose and mouth give the poses that come closest to those of a mesh of 468 points
# (docs/quality.md): they suit the bundled landmark network and are not anatomy.
MODEL: Final = np.array(
    [(-31.5, 0.0, 0.0), (31.5, 0.0, 0.0), (0.0, 27.0, -46.0), (-25.0, 60.0, -4.0), (25.0, 60.0, -4.0)]
)
_TO_AXES: Final[list[list[float]]] = np.linalg.pinv((MODEL - MODEL.mean(axis=0)).T).T.tolist()
_SIDE: Final = 48  # pixels of a crop that is measured; the same for every model
_WHITE: Final = 250  # level from which a pixel counts as clipped
_MIN_LENGTH: Final = 1e-9


def measure(face: Face, crop: NDArray[np.uint8], width: int, height: int) -> Quality:
    """Measure the quality of a face.

    Args:
        face: Face in pixels of the upright image.
        crop: What the classifier sees of it, uint8 [S, S, 3], RGB.
        width: Width of the image in pixels.
        height: Height of the image in pixels.
    """
    # Green is close to the luminance, and takes half the time to get.
    green = cv2.extractChannel(crop, 1)
    if len(green) != _SIDE:
        green = cv2.resize(green, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    mean, deviation = cv2.meanStdDev(green)
    level, contrast = mean.item(), deviation.item()
    detail = cv2.norm(cv2.Laplacian(green, cv2.CV_16S), cv2.NORM_L2) / _SIDE / 4
    white = cv2.sumElems(cv2.threshold(green, _WHITE - 1, 1, cv2.THRESH_BINARY)[1])[0]
    return Quality(
        size=min(face.box.clipped(width, height)[2:]),
        sharpness=round(detail / max(contrast, 1.0), 3),
        exposure=round(level / 255, 3),
        clipped=round(white / _SIDE**2, 3),
        pose=face.landmarks and pose_of(face.landmarks),
        cut=round(_cut(face.box, width, height), 3),
    )


def pose_of(landmarks: LandmarkPoints) -> Pose | None:
    """Estimate the pose of a head from its landmarks.

    This solves the perspective-n-point problem under scaled orthography (DeMenthon & Davis 1995, "Model-based
    object pose in 25 lines of code", first iteration): least squares give the axes of the image in the head's
    frame. docs/quality.md says how well.

    Args:
        landmarks: Five points in pixels.

    Returns:
        The pose; None if the points cannot be a projection of a face, such as five times the same.
    """
    # numpy takes longer for so few numbers.
    across, along = zip(*landmarks, strict=True)
    right_axis = _unit(*(sum(map(mul, across, weights)) for weights in _TO_AXES))
    down_axis = _unit(*(sum(map(mul, along, weights)) for weights in _TO_AXES))
    # The closest two axes that are perpendicular lie on both sides of the one between them.
    between = _unit(*map(add, right_axis, down_axis))
    beside = _unit(*map(sub, right_axis, down_axis))
    (a, b, c), (d, e, f) = between, beside
    if not (any(between) and any(beside)):
        return None
    half = math.sqrt(0.5)
    right_x, right_y, right_z = half * (a + d), half * (b + e), half * (c + f)
    down_x, down_y, down_z = half * (a - d), half * (b - e), half * (c - f)
    # The third row of the rotation is the cross product of the first two.
    return Pose(
        yaw=_degrees(math.asin(min(max(right_y * down_z - right_z * down_y, -1.0), 1.0))),
        pitch=_degrees(-math.atan2(right_z * down_x - right_x * down_z, right_x * down_y - right_y * down_x)),
        roll=_degrees(math.atan2(down_x, right_x)),
    )


def _unit(x: float, y: float, z: float) -> tuple[float, float, float]:
    """Return a vector of length 1, or 0 if it has no direction."""
    length = math.hypot(x, y, z)
    return (x / length, y / length, z / length) if length > _MIN_LENGTH else (0.0, 0.0, 0.0)


def _degrees(radians: float) -> float:
    return round(math.degrees(radians), 1) + 0.0  # no -0.0


def _cut(box: Box, width: int, height: int) -> float:
    """Return the share of a box that lies outside the image, 0 to 1."""
    inside_x = min(box.x + box.width, width) - max(box.x, 0)
    inside_y = min(box.y + box.height, height) - max(box.y, 0)
    return min(max(1 - max(inside_x, 0) * max(inside_y, 0) / max(box.area, 1e-9), 0.0), 1.0)
