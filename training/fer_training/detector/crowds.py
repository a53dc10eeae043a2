"""People row behind row, as in stands and group photographs: faces that hide parts of those behind them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_training.detector.boxes import Boxes
from fer_training.detector.paste import Place, paste, soft_mask
from fer_training.detector.scene import Ellipse, Scene

Pixels = NDArray[np.uint8]
_MOST = 40  # people: more would mostly hide each other
_WITH_ARM = 0.12  # of them hold one up
_AWAY = 0.08  # of them show the back of the head
_PLAIN = 0.4  # of them wear one colour


@dataclass(frozen=True)
class CrowdAssets:
    """What people are made of.

    Attributes:
        face: Makes a face to paste, uint8 [S, S, 3].
        cloth: Makes a piece of something to wear, uint8 [S, S, 3].
    """

    face: Callable[[], Pixels]
    cloth: Callable[[], Pixels]


@dataclass(frozen=True)
class Crowd:
    """The faces of an image after people were drawn over it.

    Attributes:
        boxes: float32 [n, 4], the faces that were there before, then the people's from the back to the front.
        seen: float32 [n], 0 to 1: how much of each is not hidden by who stands in front, nor outside the image.
    """

    boxes: Boxes
    seen: NDArray[np.float32]


def add_crowd(
    pixels: Pixels, before: Boxes, smallest: float, stuff: CrowdAssets, rng: np.random.Generator
) -> Crowd:
    """Draw people over an image, in place.

    Args:
        pixels: uint8 [H, W, 3], RGB.
        before: float32 [m, 4], the faces in it.
        smallest: Height of the smallest person's face, pixels.
        stuff: What they are made of.
        rng: Decides where they stand and what they wear.
    """
    scene = Scene(pixels, np.zeros(pixels.shape[:2], np.float32))
    boxes = [box[None] for box in before]
    for number, box in enumerate(before, 1):
        scene.show(box, number)
    for place in _places(rng, pixels.shape[1], pixels.shape[0], smallest):
        face = stuff.face()
        skin = face.reshape(-1, 3).mean(axis=0)
        _draw_body(scene, place, skin, stuff, rng)
        if rng.random() < _AWAY:
            continue
        paste(pixels, face, place, soft_mask(rng))
        boxes.append(place.box())
        scene.show(boxes[-1][0], len(boxes))
        if rng.random() < _WITH_ARM:
            _draw_arm(scene, place, skin, rng)
    found = np.concatenate([np.empty((0, 4), np.float32), *boxes])
    return Crowd(found, scene.seen(found))


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


def _draw_body(
    scene: Scene, place: Place, skin: NDArray[np.floating], stuff: CrowdAssets, rng: np.random.Generator
) -> None:
    """Shoulders, a neck, and hair about where the face will be."""
    x, y, side = place.x, place.y, place.side
    shoulders = Ellipse(x, y + 1.15 * side, rng.uniform(0.7, 1.0) * side, 0.65 * side)
    if rng.random() < _PLAIN:
        scene.draw(shoulders, (rng.uniform(15, 230) + rng.normal(0, 30, 3)).clip(0, 255))
    else:
        scene.dress(shoulders, stuff.cloth())
    neck = Ellipse(x, y + 0.45 * side, rng.uniform(0.2, 0.3) * side, rng.uniform(0.25, 0.4) * side)
    scene.draw(neck, skin * rng.uniform(0.6, 1.0))
    across, down = rng.uniform(0.38, 0.48) * side, rng.uniform(0.48, 0.56) * side
    hair = Ellipse(x, y - rng.uniform(0.08, 0.2) * side, across, down, place.turn)
    scene.draw(hair, rng.uniform(5, 110) * rng.uniform(0.7, 1.0, 3))


def _draw_arm(scene: Scene, place: Place, skin: NDArray[np.floating], rng: np.random.Generator) -> None:
    """A bare arm held up beside the face."""
    x, y, side = place.x, place.y, place.side
    elbow = x + float(rng.choice([-1, 1])) * rng.uniform(0.45, 0.9) * side, y + rng.uniform(0.6, 1.2) * side
    hand = elbow[0] + rng.normal(0, 0.4) * side, elbow[1] - rng.uniform(0.8, 1.8) * side
    width = rng.uniform(0.18, 0.3) * side
    colour = skin * rng.uniform(0.7, 1.1)
    scene.stroke(elbow, hand, width, colour)
    scene.draw(Ellipse(*hand, 0.75 * width, 0.9 * width), colour)
