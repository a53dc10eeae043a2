"""Images without people, from scikit-image: what the detector must not see faces in."""

import numpy as np
import skimage.data
from numpy.typing import NDArray

# Eight are kept from the training, so that the count of false boxes means something.
FITTED = (
    "brick",
    "grass",
    "gravel",
    "text",
    "coins",
    "horse",
    "moon",
    "immunohistochemistry",
    "checkerboard",
    "hubble_deep_field",
    "chelsea",
)
UNSEEN = (
    "coffee",
    "page",
    "rocket",
    "retina",
    "clock",
    "colorwheel",
    "logo",
    "cell",
)


def images(names: tuple[str, ...]) -> dict[str, NDArray[np.uint8]]:
    """The images of these names, uint8 [H, W, 3], RGB."""
    return {name: _rgb(getattr(skimage.data, name)()) for name in names}


def _rgb(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    levels = image if image.dtype == np.uint8 else np.asarray(image, np.float64) * 255
    if levels.ndim == 2:
        levels = np.repeat(levels[..., None], 3, axis=2)
    return np.ascontiguousarray(levels[..., :3]).astype(np.uint8)
