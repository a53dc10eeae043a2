"""Boxes as [n, 4] arrays: left, top, right, bottom in pixels."""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


def no_boxes() -> Boxes:
    """Return an empty [0, 4] array."""
    return np.empty((0, 4), np.float32)


def intersections(first: Boxes, second: Boxes) -> NDArray[np.float32]:
    """Return the intersection area of every pair in square pixels: [n, 4] and [m, 4] give [n, m]."""
    upper = np.maximum(first[:, None, :2], second[None, :, :2])
    lower = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared: NDArray[np.float32] = np.clip(lower - upper, 0, None).prod(axis=2)
    return shared


def areas(boxes: Boxes) -> NDArray[np.float32]:
    """Return box areas in square pixels, [n]."""
    area: NDArray[np.float32] = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return area


def clip_boxes(boxes: Boxes, width: int, height: int) -> Boxes:
    """Clip boxes to an image of this size."""
    return boxes.clip(0, np.array([width, height, width, height], np.float32)).astype(np.float32)


def transform_boxes(boxes: Boxes, affine: NDArray[np.float64]) -> Boxes:
    """Transform boxes by an affine map [2, 3], and return upright boxes.

    Each box is treated as its inscribed ellipse, like the face in it. The bounding box of a rotated box would be
    too large.
    """
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 @ affine[:, :2].T + affine[:, 2]
    # Half axes (ax, ay) map to the half width |(m00 * ax, m01 * ay)| and the half height |(m10 * ax, m11 * ay)|.
    half = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (affine[:, :2] ** 2).T)
    return np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)
