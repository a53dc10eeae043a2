"""The images that tests show to detectors and servers."""

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def astronaut() -> Pixels:
    """A smiling woman, uint8 [512, 512, 3], RGB, read-only; her face lies about x 170 to 280, y 60 to 190."""
    pixels: Pixels = skimage.data.astronaut()
    pixels.setflags(write=False)
    return pixels


def two_faces() -> Pixels:
    """The astronaut's head twice, side by side, uint8 [256, 1024, 3]."""
    head = astronaut()[:256]
    return np.concatenate([head, head], axis=1)


def blank(width: int, height: int, level: int = 128) -> Pixels:
    """A grey image without a face, uint8 [height, width, 3]."""
    return np.full((height, width, 3), level, np.uint8)


def encode_image(pixels: NDArray[np.generic], suffix: str, *parameters: int) -> bytes:
    """Encode RGB or grey pixels with OpenCV."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    done, buffer = cv2.imencode(suffix, bgr, parameters)
    assert done
    return buffer.tobytes()
