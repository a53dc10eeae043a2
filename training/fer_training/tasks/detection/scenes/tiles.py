"""Tiles to paste: faces, decoys and textures, from the data of a training."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_training.tasks.detection.boxes import clip_boxes, intersections
from fer_training.tasks.detection.photographs import Photograph
from fer_training.tasks.detection.recipe import SceneConfig
from fer_training.tasks.detection.scenes.paste import TILE, rotate_sideways, shuffle_blocks, skin_colour, tint
from fer_training.tasks.detection.scenes.signs import sign_tile
from fer_training.tasks.detection.scenes.spots import spot_tile

Pixels = NDArray[np.uint8]
_SKIN = np.array([[196, 150, 125], [120, 85, 65]], np.float32)  # used if no photograph has a face


class Tiles:
    """Draws tiles. A tile depends only on the random generator passed in."""

    def __init__(
        self, config: SceneConfig, photographs: Sequence[Photograph], faces: Pixels, negatives: Sequence[Pixels]
    ) -> None:
        """Take the data (see `SceneGenerator`)."""
        self._config, self._photographs, self._faces, self._negatives = config, photographs, faces, negatives
        self._tints = _skin_colours(photographs)

    def face(self, rng: np.random.Generator) -> Pixels:
        """Draw a coloured face, uint8 [48, 48, 3]; some are out of focus."""
        tile = self._coloured(self.grey_face(rng), rng)
        if rng.random() >= self._config.unsharp:
            return tile
        return cv2.GaussianBlur(tile, (0, 0), rng.uniform(1, 4)).astype(np.uint8, copy=False)

    def grey_face(self, rng: np.random.Generator) -> Pixels:
        """Draw a grey face, uint8 [48, 48]; some are turned aside."""
        grey: Pixels = self._faces[rng.integers(len(self._faces))]
        return rotate_sideways(grey, _aside(rng)) if rng.random() < self._config.aside else grey

    def decoy(self, rng: np.random.Generator) -> Pixels:
        """Draw a decoy: a shuffled face, a spot, a sign, or a texture without a face."""
        kind = rng.random()
        if kind < 0.25:
            return self._coloured(shuffle_blocks(self._faces[rng.integers(len(self._faces))], rng), rng)
        tile = spot_tile(rng, TILE) if kind < 0.4 else sign_tile(rng, TILE) if kind < 0.6 else self.texture(rng)
        return tile if rng.random() < 0.5 else self._coloured(cv2.cvtColor(tile, cv2.COLOR_RGB2GRAY), rng)

    def texture(self, rng: np.random.Generator) -> Pixels:
        """Cut a random square without a face out of an image, uint8 [48, 48, 3]."""
        for _ in range(8):
            from_photo = rng.random() < 0.6
            photo = self._photographs[int(rng.integers(len(self._photographs)))]
            source = photo.pixels if from_photo else self._negatives[int(rng.integers(len(self._negatives)))]
            rows, columns = source.shape[:2]
            side = int(rng.uniform(0.08, 0.6) * min(rows, columns))
            if side < 16:
                continue
            left, top = int(rng.integers(columns - side + 1)), int(rng.integers(rows - side + 1))
            square = np.array([[left, top, left + side, top + side]], np.float32)
            if from_photo and intersections(square, photo.boxes).any():
                continue
            piece = source[top : top + side, left : left + side]
            return cv2.resize(piece, (TILE, TILE), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        return np.full((TILE, TILE, 3), int(rng.integers(256)), np.uint8)

    def _coloured(self, grey: NDArray[np.generic], rng: np.random.Generator) -> Pixels:
        if rng.random() < self._config.skins:
            colour = skin_colour(rng)
        else:
            colour = self._tints[rng.integers(len(self._tints))] * rng.uniform(0.7, 1.3)
        if rng.random() < 0.15:
            colour = np.full(3, colour.mean(), np.float32)
        return tint(grey.astype(np.uint8, copy=False), colour, float(rng.uniform(0.6, 1.2)))


def mean_colour(pixels: Pixels, box: NDArray[np.floating]) -> NDArray[np.float32] | None:
    """Return the mean colour of a box, float32 [3], or None if it is outside of the image."""
    x0, y0, x1, y1 = (round(float(edge)) for edge in box)
    part = pixels[max(y0, 0) : y1, max(x0, 0) : x1]
    return part.reshape(-1, 3).mean(axis=0).astype(np.float32) if part.size else None


def size_of(pixels: Pixels) -> tuple[int, int]:
    """Return width and height."""
    return pixels.shape[1], pixels.shape[0]


def _aside(rng: np.random.Generator) -> float:
    """Draw a side rotation in degrees, small enough that the face's box stays valid."""
    return float(rng.choice([-1, 1]) * rng.uniform(15, 40))


def _skin_colours(photographs: Sequence[Photograph]) -> NDArray[np.float32]:
    """Return the mean colour of the upper third of every face of at least 16 px height, float32 [n, 3]."""
    colours = [
        colour
        for photo in photographs
        for box in clip_boxes(photo.boxes, *size_of(photo.pixels))
        if box[3] - box[1] >= 16
        and (colour := mean_colour(photo.pixels, np.array([*box[:3], box[1] + (box[3] - box[1]) / 3]))) is not None
    ]
    return np.array(colours, np.float32) if colours else _SKIN
