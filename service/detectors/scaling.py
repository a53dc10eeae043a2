"""Pictures as large as a detecting network takes them."""

import cv2
import numpy as np
from numpy.typing import NDArray

MULTIPLE = 32  # the coarsest stride of the networks, of which the sides of their inputs have to be


def shrunk(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture uint8 [H, W, 3], its long side at most `side`."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    smooth = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    return cv2.resize(pixels, size, interpolation=smooth).astype(np.uint8, copy=False)


def padded(small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture uint8 [H, W, 3] with black below and on the right, up to the next multiples of 32."""
    rows, columns = padded_size(small)
    wider = cv2.copyMakeBorder(small, 0, rows - small.shape[0], 0, columns - small.shape[1], cv2.BORDER_CONSTANT)
    return wider.astype(np.uint8, copy=False)


def padded_size(small: NDArray[np.uint8]) -> tuple[int, int]:
    """The height and width of a picture [H, W, 3], each raised to the next multiple of 32."""
    height, width = (-(-length // MULTIPLE) * MULTIPLE for length in small.shape[:2])
    return height, width
