"""Faces covered in an image, so that neither a person nor a detector finds them."""

from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_service.contract.boxes import Box

Cover = Literal["blur", "pixelate"]

_MARGIN: Final = 0.3  # of the box's sides, on each side: hair, ears and chin belong to a face
_COLOURS: Final = 2  # cells across a face whose mean colours are kept by `blur`
_CELLS: Final = 8  # squares across a face
_STRIPES: Final = 16  # across a face
_CONTRAST: Final = 28  # levels of the pattern
_MORE_CONTRAST: Final = 10  # with each attempt


def with_margin(box: Box) -> Box:
    """Return the region that covers a face."""
    x, y = _MARGIN * box.width, _MARGIN * box.height
    return Box(box.x - x, box.y - y, box.width + 2 * x, box.height + 2 * y)


def cover(pixels: NDArray[np.uint8], box: Box, kind: Cover, attempt: int = 0) -> None:
    """Cover a face, in place.

    Only a few mean colours of the face are left, however large it is: nothing that sharpening could bring back. A
    detector takes a smooth head-shaped spot for a face, so a pattern is laid over it, which does not depend on the
    face.

    Args:
        pixels: uint8 [H, W, 3], writable.
        box: Box of the face; it may reach beyond the image.
        kind: `pixelate` covers with squares, `blur` with a soft spot and stripes.
        attempt: Each attempt has another pattern, with more contrast.
    """
    left, top, width, height = with_margin(box).clipped(pixels.shape[1], pixels.shape[0])
    region = pixels[top : top + height, left : left + width]
    contrast = _CONTRAST + attempt * _MORE_CONTRAST
    side = min(box.width, box.height)
    if kind == "pixelate":
        small = _shrunk(region, side / _CELLS)
        noise = np.random.default_rng(attempt).normal(0, contrast, (*small.shape[:2], 1))
        squares = (small.mean(axis=(0, 1)) + noise).clip(0, 255).astype(np.uint8)
        region[:] = cv2.resize(squares, (width, height), interpolation=cv2.INTER_NEAREST)
        return
    soft = cv2.resize(_shrunk(region, side / _COLOURS), (width, height), interpolation=cv2.INTER_LINEAR)
    striped = np.ascontiguousarray(_stripes(height, width, max(side / _STRIPES, 1), falling=attempt % 2 == 1))
    levels = np.full_like(soft, contrast)
    region[:] = cv2.copyTo(cv2.add(soft, levels), striped, cv2.subtract(soft, levels))


def _stripes(height: int, width: int, wide: float, *, falling: bool) -> NDArray[np.uint8]:
    """Return diagonal stripes of `wide` pixels, uint8 [height, width] of 0 and 1."""
    along = np.arange(1 - height, width) if falling else np.arange(height + width - 1)
    line = (along // wide % 2).astype(np.uint8)
    # Each row is the line, one pixel further.
    rows = np.lib.stride_tricks.sliding_window_view(line, width)
    return rows[::-1] if falling else rows


def _shrunk(region: NDArray[np.uint8], cell: float) -> NDArray[np.uint8]:
    """Return the mean colours of cells whose side is about `cell` pixels."""
    height, width = region.shape[:2]
    size = max(round(width / max(cell, 1)), 1), max(round(height / max(cell, 1)), 1)
    return cv2.resize(region, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
