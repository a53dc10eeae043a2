"""Boxes as [n, 4] arrays of left, top, right and bottom edge in pixels, and what is computed with them."""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


def no_boxes() -> Boxes:
    """An empty [0, 4] array."""
    return np.empty((0, 4), np.float32)


def overlaps(first: Boxes, second: Boxes) -> NDArray[np.float32]:
    """Intersection over union of every pair: [n, 4] and [m, 4] give [n, m]."""
    shared = intersections(first, second)
    union = areas(first)[:, None] + areas(second)[None] - shared
    overlap: NDArray[np.float32] = (shared / np.maximum(union, 1e-6)).astype(np.float32)
    return overlap


def intersections(first: Boxes, second: Boxes) -> NDArray[np.float32]:
    """Square pixels that every pair shares: [n, 4] and [m, 4] give [n, m]."""
    upper = np.maximum(first[:, None, :2], second[None, :, :2])
    lower = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared: NDArray[np.float32] = np.clip(lower - upper, 0, None).prod(axis=2)
    return shared


def areas(boxes: Boxes) -> NDArray[np.float32]:
    """Square pixels of each, [n]."""
    area: NDArray[np.float32] = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return area


def clipped(boxes: Boxes, width: int, height: int) -> Boxes:
    """The parts that lie in an image of this size."""
    return boxes.clip(0, np.array([width, height, width, height], np.float32)).astype(np.float32)


def moved(boxes: Boxes, affine: NDArray[np.float64]) -> Boxes:
    """The upright boxes about the ellipses in these boxes, once an affine map [2, 3] has moved those.

    A turned face fills its box as an ellipse does; the box about a turned box would be too large.
    """
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 @ affine[:, :2].T + affine[:, 2]
    # Of an ellipse with half axes a the extent along x is the norm of (m00 * ax, m01 * ay), along y likewise.
    half = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (affine[:, :2] ** 2).T)
    return np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)
