"""Images as large as a detecting network takes them."""

import cv2
import numpy as np
from numpy.typing import NDArray

MULTIPLE = 32  # the coarsest stride of the networks, of which the sides of their inputs have to be


def shrunk(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The image uint8 [H, W, 3], its long side at most `side`."""
    height, width = pixels.shape[:2]
    if max(height, width) <= side:
        return pixels
    rows, columns = shrunk_size(height, width, side)
    # Halved as often as it goes: averaging is fast for that factor only, and what is left needs none.
    for _ in range((max(height, width) // side).bit_length() - 1):
        size = (max(pixels.shape[1] // 2, columns), max(pixels.shape[0] // 2, rows))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def shrunk_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width of such an image when it is shrunk."""
    scale = min(side / max(height, width), 1.0)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def padded(small: NDArray[np.uint8], least: int = 0) -> NDArray[np.uint8]:
    """The image uint8 [H, W, 3] with black below and on the right, up to the next multiples of 32.

    Args:
        small: No larger than the network takes.
        least: Height and width that it gets at least.
    """
    rows, columns = padded_size(small, least)
    wider = cv2.copyMakeBorder(small, 0, rows - small.shape[0], 0, columns - small.shape[1], cv2.BORDER_CONSTANT)
    return wider.astype(np.uint8, copy=False)


def padded_size(small: NDArray[np.uint8], least: int = 0) -> tuple[int, int]:
    """The height and width of an image [H, W, 3], each at least `least` and raised to the next multiple of 32."""
    height, width = (-(-max(length, least) // MULTIPLE) * MULTIPLE for length in small.shape[:2])
    return height, width
