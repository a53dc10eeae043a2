"""Faces to the square crops that the classifier sees."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_service.contract.boxes import Box, LandmarkPoints, roll_of
from fer_service.contract.bundle import CropGeometry

_INTERPOLATION = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
_BORDER = {"replicate": cv2.BORDER_REPLICATE, "black": cv2.BORDER_CONSTANT}


@dataclass(frozen=True)
class Square:
    """A square region of an image; it may be rotated and may reach beyond the image.

    Attributes:
        x: Centre, in pixels from the left edge.
        y: Centre, in pixels from the top edge.
        side: Side in pixels.
        angle: Clockwise rotation in radians.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0


def square_around(
    box: Box, landmarks: LandmarkPoints | None, geometry: CropGeometry, frame_scale: float, roll: int = 0
) -> Square:
    """Return the square that frames a face as the classifier's training data does.

    Args:
        box: Bounding box of the face.
        landmarks: Landmarks of the face; with `align` they tell the angle.
        geometry: Crop geometry of the bundle.
        frame_scale: Frame scale of the detector (see `Detector.frame_scale`).
        roll: Right angle by which the face was turned when it was found, in degrees clockwise.
    """
    found = roll_of(landmarks) if landmarks and geometry.align else None
    angle = math.radians(roll if found is None else found)
    height = box.height if roll % 180 == 0 else box.width
    side = height * frame_scale * geometry.frame
    return Square(*box.center, side, angle)


def square_over(width: int, height: int) -> Square:
    """Return the smallest square that contains an image of this size."""
    return Square(width / 2, height / 2, max(width, height))


def crop(pixels: NDArray[np.uint8], square: Square, size: int, geometry: CropGeometry) -> NDArray[np.uint8]:
    """Cut a square out of an image and resize it.

    If it shrinks by a factor of 2 or more, it is first reduced by averaging by a whole factor, against aliasing.

    Args:
        pixels: uint8 [H, W, 3].
        square: Square to cut out, in the same pixels.
        size: Side of the result in pixels.
        geometry: Interpolation and border.

    Returns:
        uint8 [size, size, 3].
    """
    # Rounded, so that right angles are exact.
    cos, sin = round(math.cos(square.angle), 12), round(math.sin(square.angle), 12)
    region, left, top = _region(pixels, square, abs(cos) + abs(sin))
    height, width = region.shape[:2]
    factor = int(square.side / size)
    if factor >= 2:
        reduced = (max(width // factor, 1), max(height // factor, 1))
        region = cv2.resize(region, reduced, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    scale_x, scale_y = region.shape[1] / width, region.shape[0] / height

    # Maps pixel centres of the crop to the region. In warpAffine, 0 is the centre of the first pixel.
    step, middle = square.side / size, (size - 1) / 2
    x = square.x - left - step * middle * (cos - sin)
    y = square.y - top - step * middle * (sin + cos)
    to_region = np.array(
        [
            [step * cos * scale_x, -step * sin * scale_x, x * scale_x - 0.5],
            [step * sin * scale_y, step * cos * scale_y, y * scale_y - 0.5],
        ]
    )
    return cv2.warpAffine(
        region,
        to_region,
        (size, size),
        flags=_INTERPOLATION[geometry.interpolation] | cv2.WARP_INVERSE_MAP,
        borderMode=_BORDER[geometry.border],
    ).astype(np.uint8, copy=False)


def _region(pixels: NDArray[np.uint8], square: Square, extent: float) -> tuple[NDArray[np.uint8], int, int]:
    """Return the upright part of the image that the square needs, and its left and top edge."""
    height, width = pixels.shape[:2]
    half = square.side * extent / 2 + 2
    left = min(max(math.floor(square.x - half), 0), width - 1)
    top = min(max(math.floor(square.y - half), 0), height - 1)
    right = max(min(math.ceil(square.x + half), width), left + 1)
    bottom = max(min(math.ceil(square.y + half), height), top + 1)
    return pixels[top:bottom, left:right], left, top
