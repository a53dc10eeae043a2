"""Resizing and padding of images for detector networks."""

import cv2
import numpy as np
from numpy.typing import NDArray

MULTIPLE = 32  # coarsest stride of the networks; the sides of their inputs are multiples of it


def shrunk(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the image uint8 [H, W, 3], shrunk to a long side of at most `side` pixels."""
    height, width = pixels.shape[:2]
    if max(height, width) <= side:
        return pixels
    rows, columns = shrunk_size(height, width, side)
    # Halve by averaging, which is fast for this factor only, until less than a factor of 2 is left: bilinear
    # resampling does not alias there.
    for _ in range((max(height, width) // side).bit_length() - 1):
        size = (max(pixels.shape[1] // 2, columns), max(pixels.shape[0] // 2, rows))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def enlarged(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the image uint8 [H, W, 3], enlarged to a long side of at least `side` pixels."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale <= 1:
        return pixels
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def halved(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image uint8 [H, W, 3] at half its height and width, by averaging."""
    rows, columns = (max(length // 2, 1) for length in pixels.shape[:2])
    return cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def shrunk_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Return height and width of the image that `shrunk` makes."""
    scale = min(side / max(height, width), 1.0)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def padded(small: NDArray[np.uint8], min_side: int = 0) -> NDArray[np.uint8]:
    """Pad an image uint8 [H, W, 3] below and on the right with black, up to the next multiples of 32.

    Args:
        small: Image.
        min_side: Minimum height and width of the result.
    """
    rows, columns = padded_size(small, min_side)
    image = cv2.copyMakeBorder(small, 0, rows - small.shape[0], 0, columns - small.shape[1], cv2.BORDER_CONSTANT)
    return image.astype(np.uint8, copy=False)


def padded_size(small: NDArray[np.uint8], min_side: int = 0) -> tuple[int, int]:
    """Return height and width of the image that `padded` makes."""
    height, width = (-(-max(length, min_side) // MULTIPLE) * MULTIPLE for length in small.shape[:2])
    return height, width
