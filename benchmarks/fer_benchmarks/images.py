"""The images that everything is measured with, made from scikit-image's astronaut."""

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

_QUALITY = 90


def images() -> dict[str, tuple[bytes, bool]]:
    """JPEG files by name, and whether faces are to be looked for in them."""
    astronaut = skimage.data.astronaut()
    face = cv2.resize(astronaut[60:200, 150:290], (48, 48), interpolation=cv2.INTER_AREA)
    return {
        "640×480, one face": (jpeg(scene(astronaut, 640, 480, [(320, 240, 480)])), True),
        "1280×720, one face": (jpeg(scene(astronaut, 1280, 720, [(640, 360, 720)])), True),
        "1280×720, seven faces": (jpeg(scene(astronaut, 1280, 720, _SEVEN)), True),
        "12 megapixels, one face": (jpeg(scene(astronaut, 4000, 3000, [(2000, 1500, 3000)])), True),
        "48×48 face, detect=false": (jpeg(face), False),
    }


_SEVEN = [(180 + column * 300, 190 + row * 340, 300) for row in range(2) for column in range(4)][:7]


def scene(
    astronaut: NDArray[np.uint8], width: int, height: int, places: list[tuple[int, int, int]]
) -> NDArray[np.uint8]:
    """The astronaut at places (x, y of the middle, side) of a noisy grey ground, uint8 [height, width, 3]."""
    noise = np.random.default_rng(0).normal(110, 12, (height, width, 3))
    canvas = noise.clip(0, 255).astype(np.uint8)
    for x, y, side in places:
        smooth = cv2.INTER_AREA if side < len(astronaut) else cv2.INTER_CUBIC
        part = cv2.resize(astronaut, (side, side), interpolation=smooth)
        top, left = y - side // 2, x - side // 2
        canvas[top : top + side, left : left + side] = part
    return canvas


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels uint8 [H, W, 3], RGB, as a JPEG of quality 90."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
