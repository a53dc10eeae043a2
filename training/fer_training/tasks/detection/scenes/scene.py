"""Drawing on an image, with a record of which face each pixel shows."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_training.tasks.detection.boxes import Boxes

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Ellipse:
    """An ellipse: centre and half axes in pixels, rotation in degrees."""

    x: float
    y: float
    across: float
    down: float
    turn: float = 0.0

    def draw(self, canvas: NDArray[np.uint8] | NDArray[np.float32], levels: tuple[float, ...]) -> None:
        """Fill the ellipse on a canvas [H, W] or [H, W, 3], in place."""
        middle, axes = (round(self.x), round(self.y)), (round(self.across), round(self.down))
        cv2.ellipse(canvas, middle, axes, self.turn, 0, 360, levels, -1)


@dataclass(frozen=True)
class Scene:
    """An image and the face that each pixel shows. Drawing changes both.

    Attributes:
        pixels: uint8 [H, W, 3], RGB.
        owners: float32 [H, W], number of the face, 0 for none.
    """

    pixels: Pixels
    owners: NDArray[np.float32]

    def show(self, box: NDArray[np.floating], number: int) -> None:
        """Mark the pixels of a face as visible."""
        left, top, right, bottom = box
        inside = Ellipse((left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2)
        inside.draw(self.owners, (number,))

    def draw(self, ellipse: Ellipse, colour: NDArray[np.floating]) -> None:
        """Fill an ellipse with a colour."""
        ellipse.draw(self.pixels, _levels(colour))
        ellipse.draw(self.owners, (0,))

    def dress(self, ellipse: Ellipse, texture: Pixels) -> None:
        """Fill an unrotated ellipse with a texture, resized to its bounding box."""
        ellipse.draw(self.owners, (0,))
        height, width = self.owners.shape
        left, top = max(int(ellipse.x - ellipse.across), 0), max(int(ellipse.y - ellipse.down), 0)
        right, bottom = int(ellipse.x + ellipse.across) + 1, int(ellipse.y + ellipse.down) + 1
        window = self.pixels[top : min(bottom, height), left : min(right, width)]
        if not window.size:
            return
        inside = np.zeros(window.shape[:2], np.uint8)
        replace(ellipse, x=ellipse.x - left, y=ellipse.y - top).draw(inside, (1,))
        stretched = cv2.resize(texture, window.shape[1::-1], interpolation=cv2.INTER_AREA)
        np.copyto(window, stretched, where=inside[..., None] > 0)

    def stroke(
        self, start: tuple[float, float], end: tuple[float, float], width: float, colour: NDArray[np.floating]
    ) -> None:
        """Draw a line."""
        begin, stop = ((round(x), round(y)) for x, y in (start, end))
        thickness = max(round(width), 1)
        cv2.line(self.pixels, begin, stop, _levels(colour), thickness, cv2.LINE_AA)
        cv2.line(self.owners, begin, stop, (0,), thickness)

    def seen(self, boxes: Boxes) -> NDArray[np.float32]:
        """Return the visible fraction of each face, float32 [n], 0 to 1. Face i has the number i + 1."""
        counts = np.bincount(self.owners.astype(np.int64).ravel(), minlength=len(boxes) + 1)[1:]
        whole = np.pi / 4 * (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        return (counts / np.maximum(whole, 1e-6)).clip(0, 1).astype(np.float32)


def _levels(colour: NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(float(level) for level in colour.clip(0, 255))
