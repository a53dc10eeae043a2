"""Pasting of face and decoy tiles into images.

Faces and decoys pass through the same mask, tint and resampling, so that pasting artefacts do not reveal faces.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_training.tasks.detection.boxes import Boxes, transform_boxes

Pixels = NDArray[np.uint8]
TILE = 48
# Box of the face in a tile, in fractions of the side; its aspect ratio is that of the photographs' boxes.
_BOX = np.array([[0.10, 0.06, 0.90, 0.94]], np.float32)
BOX_HEIGHT = float(_BOX[0, 3] - _BOX[0, 1])
_MASK = 64
_SKINS = np.array([[235, 198, 175], [62, 40, 30]], np.float32)  # lightest and darkest skin, RGB


@dataclass(frozen=True)
class Place:
    """Placement of a tile: centre and side in pixels, rotation in degrees, mirroring."""

    x: float
    y: float
    side: float
    turn: float
    mirrored: bool = False

    def affine(self, size: int) -> NDArray[np.float64]:
        """Return the affine map [2, 3] from a tile of `size` pixels to the image."""
        scale = self.side / size
        angle = np.deg2rad(self.turn)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        if self.mirrored:
            turn[:, 0] = -turn[:, 0]
        return np.concatenate([turn, np.array([[self.x], [self.y]]) - turn @ [[size / 2], [size / 2]]], axis=1)

    def box(self) -> Boxes:
        """Return the box of the tile's face, [1, 4]."""
        return transform_boxes(_BOX, self.affine(1))


def paste(canvas: Pixels, tile: Pixels, place: Place, mask: NDArray[np.float32]) -> None:
    """Blend a tile into an image, in place.

    Args:
        canvas: uint8 [H, W, 3]. The tile is clipped to it.
        tile: uint8 [S, S, 3].
        place: Placement of the tile.
        mask: float32 [64, 64], opacity, 0 to 1.
    """
    reach = place.side * 0.75 + 2
    left, top = max(int(place.x - reach), 0), max(int(place.y - reach), 0)
    right, bottom = min(int(place.x + reach) + 1, canvas.shape[1]), min(int(place.y + reach) + 1, canvas.shape[0])
    if right - left < 2 or bottom - top < 2:
        return
    size = (right - left, bottom - top)
    if place.side < tile.shape[0] * 0.7:
        # Shrink by area averaging first: warping a much larger tile aliases.
        small = max(round(place.side), 4)
        tile = cv2.resize(tile, (small, small), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    shift = np.array([[0, 0, left], [0, 0, top]], np.float64)
    warped = cv2.warpAffine(
        tile, place.affine(tile.shape[0]) - shift, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    seen = cv2.warpAffine(mask, place.affine(_MASK) - shift, size)[..., None]
    under = canvas[top:bottom, left:right]
    under[:] = (under + (warped.astype(np.float32) - under) * seen).clip(0, 255).astype(np.uint8)


def soft_mask(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return an ellipse, or in 25 % of the calls a square, with a feathered edge, float32 [64, 64]."""
    mask = np.zeros((_MASK, _MASK), np.float32)
    feather = rng.uniform(1.0, 6.0)
    # The feather ends inside the tile, so that the tile's edge stays invisible.
    room = _MASK / 2 - 1.6 * feather
    if rng.random() < 0.25:
        corner = (round(_MASK / 2 - room), round(_MASK / 2 - room))
        cv2.rectangle(mask, corner, (_MASK - corner[0] - 1, _MASK - corner[1] - 1), 1.0, -1)
    else:
        axes = (round(room * rng.uniform(0.78, 0.98)), round(room * rng.uniform(0.92, 1.0)))
        cv2.ellipse(mask, (_MASK // 2, _MASK // 2), axes, 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(mask, (0, 0), feather / 2).astype(np.float32, copy=False)


def tint(grey: Pixels, colour: NDArray[np.float32], contrast: float) -> Pixels:
    """Tint a grey tile.

    Args:
        grey: uint8 [S, S].
        colour: float32 [3], RGB colour of the tile's mean level.
        contrast: Factor of the deviations from the mean level.

    Returns:
        uint8 [S, S, 3].
    """
    levels = grey.astype(np.float32)
    mean = max(float(levels.mean()), 1.0)
    relative = 1 + (levels / mean - 1) * contrast
    return (relative[..., None] * colour).clip(0, 255).astype(np.uint8)


def skin_colour(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a skin colour, float32 [3], RGB: from very light to very dark skin, in light and shade."""
    share = rng.uniform(0, 1)
    colour = _SKINS[0] ** share * _SKINS[1] ** (1 - share) * np.exp(rng.normal(0, 0.2))
    levels: NDArray[np.float32] = (colour * (1 + rng.normal(0, 0.05, 3))).clip(0, 255).astype(np.float32)
    return levels


def rotate_sideways(grey: Pixels, degrees: float) -> Pixels:
    """Rotate a face to the side: map the tile onto an upright cylinder, and rotate the cylinder.

    Args:
        grey: uint8 [S, S].
        degrees: Angle; positive rotates to the right of the image. Uncovered pixels repeat the tile's edge.
    """
    side = grey.shape[0]
    across = (np.arange(side) + 0.5) / side * 2 - 1
    before = (np.arcsin(across) - np.deg2rad(degrees)).clip(-np.pi / 2, np.pi / 2)
    columns = ((np.sin(before) + 1) / 2 * side - 0.5).astype(np.float32)
    x, y = np.meshgrid(columns, np.arange(side, dtype=np.float32))
    turned = cv2.remap(grey, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return turned.astype(np.uint8, copy=False)


def shuffle_blocks(grey: Pixels, rng: np.random.Generator) -> Pixels:
    """Shuffle the 9 or 16 blocks of a tile, which keeps the texture of a face but not the face."""
    count = int(rng.integers(3, 5))
    block = grey.shape[0] // count
    blocks = grey.reshape(count, block, count, block).swapaxes(1, 2).reshape(-1, block, block)
    # A cyclic permutation moves every block.
    cycle = rng.permutation(len(blocks))
    order = np.empty_like(cycle)
    order[cycle] = np.roll(cycle, 1)
    mixed = blocks[order].reshape(count, count, block, block).swapaxes(1, 2)
    return np.ascontiguousarray(mixed.reshape(grey.shape))
