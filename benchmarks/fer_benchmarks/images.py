"""Test images, made from scikit-image's astronaut."""

from dataclasses import dataclass

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from fer_benchmarks.load import predict_path

_QUALITY = 90
_SEVEN = [(180 + column * 300, 190 + row * 340, 300) for row in range(2) for column in range(4)][:7]


@dataclass(frozen=True)
class SampleImage:
    """An encoded image.

    Attributes:
        data: JPEG file.
        detect: False if the whole image is one face.
    """

    data: bytes
    detect: bool = True

    @property
    def path(self) -> str:
        """Path and query of its request."""
        return predict_path(self.detect)


def make_images() -> dict[str, SampleImage]:
    """Return the images that all programs use, by name."""
    face = cv2.resize(skimage.data.astronaut()[60:200, 150:290], (48, 48), interpolation=cv2.INTER_AREA)
    return {
        "640×480, one face": SampleImage(encode_jpeg(portrait_scene(640, 480, [(320, 240, 480)]))),
        "1280×720, one face": SampleImage(encode_jpeg(portrait_scene(1280, 720, [(640, 360, 720)]))),
        "1280×720, seven faces": SampleImage(encode_jpeg(portrait_scene(1280, 720, _SEVEN))),
        "12 megapixels, one face": SampleImage(encode_jpeg(portrait_scene(4000, 3000, [(2000, 1500, 3000)]))),
        "48×48 face, detect=false": SampleImage(encode_jpeg(face), detect=False),
    }


def portrait_scene(width: int, height: int, places: list[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """Paste the astronaut's portrait onto a noisy grey background.

    Args:
        width: Image width in pixels.
        height: Image height in pixels.
        places: (x, y, side) of each square portrait in pixels; x and y are its centre.

    Returns:
        uint8 [height, width, 3], RGB.
    """
    astronaut = skimage.data.astronaut()
    noise = np.random.default_rng(0).normal(110, 12, (height, width, 3))
    canvas = noise.clip(0, 255).astype(np.uint8)
    for x, y, side in places:
        smooth = cv2.INTER_AREA if side < len(astronaut) else cv2.INTER_CUBIC
        top, left = y - side // 2, x - side // 2
        canvas[top : top + side, left : left + side] = cv2.resize(astronaut, (side, side), interpolation=smooth)
    return canvas


def encode_jpeg(pixels: NDArray[np.uint8], quality: int = _QUALITY) -> bytes:
    """Encode RGB pixels, uint8 [H, W, 3], as JPEG."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
