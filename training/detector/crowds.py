"""People row behind row, as in stands and group photographs: faces that hide parts of those behind them."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.detector.boxes import Boxes
from training.detector.paste import Place, paste, soft_mask

Pixels = NDArray[np.uint8]
_MOST = 40  # people: more would mostly hide each other


@dataclass(frozen=True)
class Crowd:
    """The faces of a picture after people were drawn over it.

    Attributes:
        boxes: float32 [n, 4], the faces that were there before, then the people's from the back to the front.
        seen: float32 [n], 0 to 1: how much of each is not hidden by who stands in front, nor outside the picture.
    """

    boxes: Boxes
    seen: NDArray[np.float32]


def add_crowd(
    pixels: Pixels, before: Boxes, smallest: float, tile: Callable[[], Pixels], rng: np.random.Generator
) -> Crowd:
    """Draw people over a picture, in place.

    Args:
        pixels: uint8 [H, W, 3], RGB.
        before: float32 [m, 4], the faces in it.
        smallest: Height of the smallest person's face, pixels.
        tile: Makes a face to paste, uint8 [S, S, 3].
        rng: Decides where they stand and what they wear.
    """
    height, width = pixels.shape[:2]
    # Whose face a pixel shows: 0 is nobody's.
    owners = np.zeros((height, width), np.float32)
    boxes = [box[None] for box in before]
    for number, box in enumerate(before, 1):
        _fill(owners, box, number)
    for place in _places(rng, width, height, smallest):
        _draw_body(pixels, owners, place, rng)
        paste(pixels, tile(), place, soft_mask(rng))
        boxes.append(place.box())
        _fill(owners, boxes[-1][0], len(boxes))
    found = np.concatenate([np.empty((0, 4), np.float32), *boxes])
    counts = np.bincount(owners.astype(np.int64).ravel(), minlength=len(found) + 1)[1:]
    whole = np.pi / 4 * (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])
    return Crowd(found, (counts / np.maximum(whole, 1e-6)).clip(0, 1).astype(np.float32))


def _places(rng: np.random.Generator, width: int, height: int, smallest: float) -> list[Place]:
    """Where the tiles of the faces go, the rearmost row first."""
    tallest = max(smallest * 1.1, 0.3 * min(width, height))
    side = float(np.exp(rng.uniform(np.log(smallest), np.log(tallest))))
    nearer, apart = rng.uniform(1.0, 1.25), rng.uniform(0.75, 1.3)
    y = rng.uniform(0, 0.5) * height
    places: list[Place] = []
    while y < height and len(places) < _MOST:
        x = rng.uniform(-0.5, 0.5) * side
        while x < width + side / 2:
            if rng.random() < 0.85:
                each = side * rng.uniform(0.85, 1.15)
                turn = float(rng.normal(0, 12))
                high = y + rng.normal(0, 0.15) * side
                places.append(Place(float(x), float(high), float(each), turn, bool(rng.random() < 0.5)))
            x += side * apart * rng.uniform(0.8, 1.3)
        y += side * rng.uniform(0.6, 1.2)
        side *= nearer
    return places[:_MOST]


def _draw_body(pixels: Pixels, owners: NDArray[np.float32], place: Place, rng: np.random.Generator) -> None:
    """Shoulders, a neck's width below the face, and hair about it; they hide what is behind them."""
    shirt = tuple(int(level) for level in (rng.uniform(15, 230) + rng.normal(0, 30, 3)).clip(0, 255))
    hair = tuple(int(level) for level in rng.uniform(5, 110) * rng.uniform(0.7, 1.0, 3))
    middle, reach = (round(place.x), round(place.y + place.side * 1.15)), place.side * rng.uniform(0.7, 1.0)
    head = (round(place.x), round(place.y - place.side * 0.08))
    axes = (round(place.side * rng.uniform(0.38, 0.48)), round(place.side * rng.uniform(0.48, 0.56)))
    for canvas, one, two in ((pixels, shirt, hair), (owners, 0, 0)):
        cv2.ellipse(canvas, middle, (round(reach), round(place.side * 0.65)), 0, 0, 360, one, -1)
        cv2.ellipse(canvas, head, axes, place.turn, 0, 360, two, -1)


def _fill(owners: NDArray[np.float32], box: NDArray[np.floating], number: int) -> None:
    left, top, right, bottom = box
    middle = round(float(left + right) / 2), round(float(top + bottom) / 2)
    axes = round(float(right - left) / 2), round(float(bottom - top) / 2)
    cv2.ellipse(owners, middle, axes, 0, 0, 360, number, -1)
