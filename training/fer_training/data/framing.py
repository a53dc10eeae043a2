"""A face tile inside a larger image, as a detector expects it."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

FACE_SIDE: Final = 144  # pixels
IMAGE_SIDE: Final = 320


def in_an_image(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Centre a face, uint8 [S, S, C], scaled to 144 px, in an image [320, 320, 3]; the border is repeated."""
    scaled = cv2.resize(face, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_CUBIC)
    edge = (IMAGE_SIDE - FACE_SIDE) // 2
    padded = cv2.copyMakeBorder(scaled, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
    padded = padded.reshape(IMAGE_SIDE, IMAGE_SIDE, -1)
    filled = np.broadcast_to(padded, (IMAGE_SIDE, IMAGE_SIDE, 3))
    return np.ascontiguousarray(filled).astype(np.uint8, copy=False)
