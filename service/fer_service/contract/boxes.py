"""Boxes in pixels: the one type for them, and how much two of them overlap."""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Right eye, left eye, nose, right and left corner of the mouth, each as x and y; right and left are the person's.
LandmarkPoints = tuple[tuple[float, float], ...]
_MIN_LENGTH: Final = 1e-9  # pixels


def roll_of(landmarks: LandmarkPoints) -> float | None:
    """Return the angle by which a face is turned in the image, in degrees clockwise, -180 to 180.

    The line between the eyes and the one from the eyes to the mouth count by their lengths: in profile the eyes
    have no useful line. None if the points have no direction, such as five times the same.
    """
    (right_x, right_y), (left_x, left_y), _, *mouth = landmarks
    down_x, down_y = (sum(side) / 2 for side in zip(*mouth, strict=True))
    down_x, down_y = down_x - (right_x + left_x) / 2, down_y - (right_y + left_y) / 2
    x, y = left_x - right_x + down_y, left_y - right_y - down_x
    return math.degrees(math.atan2(y, x)) if math.hypot(x, y) > _MIN_LENGTH else None


def degrees_between(one: float, other: float) -> float:
    """Return the angle between two directions in degrees, 0 to 180."""
    return abs((one - other + 180) % 360 - 180)


class Box(NamedTuple):
    """An axis-aligned box in pixels; it may reach beyond the image.

    Attributes:
        x: Left edge, from the left edge of the image.
        y: Top edge, from the top edge of the image.
        width: Width.
        height: Height.
    """

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.width * self.height

    @property
    def center(self) -> tuple[float, float]:
        """Center as x and y."""
        return self.x + self.width / 2, self.y + self.height / 2

    def scaled(self, factor_x: float, factor_y: float) -> "Box":
        """Return the same box in an image resized by these factors."""
        return Box(self.x * factor_x, self.y * factor_y, self.width * factor_x, self.height * factor_y)

    def clipped(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Round to whole pixels inside an image.

        Args:
            width: Image width in pixels.
            height: Image height in pixels.

        Returns:
            Left, top, width and height; the box keeps at least one pixel.
        """
        left, top = min(max(round(self.x), 0), width - 1), min(max(round(self.y), 0), height - 1)
        right = min(max(round(self.x + self.width), left + 1), width)
        bottom = min(max(round(self.y + self.height), top + 1), height)
        return left, top, right - left, bottom - top


def iou(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the intersection over union of boxes, 0 to 1.

    Args:
        one: [..., 4]: x, y, width, height.
        other: Broadcastable to `one`.
    """
    shared = _intersection(one, other)
    return shared / np.maximum(_areas(one) + _areas(other) - shared, 1e-12)


def overlap_coefficient(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the intersection of boxes as a share of the smaller box, 0 to 1 (Szymkiewicz-Simpson).

    Args:
        one: [..., 4]: x, y, width, height.
        other: Broadcastable to `one`.
    """
    return _intersection(one, other) / np.maximum(np.minimum(_areas(one), _areas(other)), 1e-12)


def _intersection(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    begin = np.maximum(one[..., :2], other[..., :2])
    end = np.minimum(one[..., :2] + one[..., 2:], other[..., :2] + other[..., 2:])
    return np.asarray(np.prod(np.clip(end - begin, 0, None), axis=-1), np.float64)


def _areas(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(boxes[..., 2] * boxes[..., 3], np.float64)
