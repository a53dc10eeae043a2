"""Faces → the square crops that the network sees."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_service.contract.boxes import Box, Landmarks
from fer_service.contract.bundle import CropGeometry

_INTERPOLATION = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
_BORDER = {"replicate": cv2.BORDER_REPLICATE, "black": cv2.BORDER_CONSTANT}


@dataclass(frozen=True)
class Square:
    """A square of an image, possibly rotated and possibly reaching beyond its edge.

    Attributes:
        x: Centre, pixels from the left edge.
        y: Centre, pixels from the upper edge.
        side: Pixels.
        angle: Radians, clockwise as one looks at the image.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0


def square_around(box: Box, landmarks: Landmarks | None, geometry: CropGeometry, frame_scale: float) -> Square:
    """The square that shows a face as the network was trained to see it.

    Args:
        box: Bounding box of the face.
        landmarks: Its five points, or None.
        geometry: The bundle's.
        frame_scale: The detector's: side of FER-2013's framing as a multiple of its boxes' height.
    """
    angle = 0.0
    if geometry.align and landmarks is not None:
        (right_x, right_y), (left_x, left_y) = landmarks[0], landmarks[1]
        angle = math.atan2(left_y - right_y, left_x - right_x)
    side = box.height * frame_scale * geometry.frame
    return Square(*box.center, side, angle)


def square_over(width: int, height: int) -> Square:
    """The smallest square that holds a whole image."""
    return Square(width / 2, height / 2, max(width, height))


def crop(pixels: NDArray[np.uint8], square: Square, size: int, geometry: CropGeometry) -> NDArray[np.uint8]:
    """Cut a square out and bring it to the network's size.

    Where it shrinks by 2 or more, whole-number areas are averaged first, so that nothing aliases.

    Args:
        pixels: uint8 [H, W, 3].
        square: In the same pixels.
        size: Side of the result.
        geometry: Interpolation and border.

    Returns:
        uint8 [size, size, 3].
    """
    cos, sin = math.cos(square.angle), math.sin(square.angle)
    region, left, top = _region(pixels, square, abs(cos) + abs(sin))
    height, width = region.shape[:2]
    area = int(square.side / size)
    if area >= 2:
        reduced = (max(width // area, 1), max(height // area, 1))
        region = cv2.resize(region, reduced, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    scale_x, scale_y = region.shape[1] / width, region.shape[0] / height

    # From the crop's pixel centres back to the region's, which warpAffine counts from the first centre.
    step, middle = square.side / size, (size - 1) / 2
    x = square.x - left - step * middle * (cos - sin)
    y = square.y - top - step * middle * (sin + cos)
    back = np.array(
        [
            [step * cos * scale_x, -step * sin * scale_x, x * scale_x - 0.5],
            [step * sin * scale_y, step * cos * scale_y, y * scale_y - 0.5],
        ]
    )
    return cv2.warpAffine(
        region,
        back,
        (size, size),
        flags=_INTERPOLATION[geometry.interpolation] | cv2.WARP_INVERSE_MAP,
        borderMode=_BORDER[geometry.border],
    ).astype(np.uint8, copy=False)


def _region(pixels: NDArray[np.uint8], square: Square, extent: float) -> tuple[NDArray[np.uint8], int, int]:
    """The upright part of the image that the square needs, with its left and upper edge."""
    height, width = pixels.shape[:2]
    half = square.side * extent / 2 + 2
    left = min(max(math.floor(square.x - half), 0), width - 1)
    top = min(max(math.floor(square.y - half), 0), height - 1)
    right = max(min(math.ceil(square.x + half), width), left + 1)
    bottom = max(min(math.ceil(square.y + half), height), top + 1)
    return pixels[top:bottom, left:right], left, top
