"""Images without people, from scikit-image. Every box in them is a false box."""

import numpy as np
import skimage.data
from numpy.typing import NDArray

# Eight images are held out, to count false boxes on unseen images.
TRAIN_NEGATIVES = (
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
HELD_OUT_NEGATIVES = (
    "coffee",
    "page",
    "rocket",
    "retina",
    "clock",
    "colorwheel",
    "logo",
    "cell",
)


def load_negatives(names: tuple[str, ...]) -> dict[str, NDArray[np.uint8]]:
    """Load images by name, uint8 [H, W, 3], RGB."""
    return {name: _rgb(getattr(skimage.data, name)()) for name in names}


def _rgb(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    levels = image if image.dtype == np.uint8 else np.asarray(image, np.float64) * 255
    if levels.ndim == 2:
        levels = np.repeat(levels[..., None], 3, axis=2)
    return np.ascontiguousarray(levels[..., :3]).astype(np.uint8)
