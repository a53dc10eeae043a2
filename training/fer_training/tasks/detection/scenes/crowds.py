"""Synthetic crowds: rows of people whose faces hide parts of the faces behind them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_training.tasks.detection.boxes import Boxes
from fer_training.tasks.detection.scenes.paste import Place, paste, soft_mask
from fer_training.tasks.detection.scenes.scene import Ellipse, Scene

Pixels = NDArray[np.uint8]
_MAX_PEOPLE = 40  # people per image; more would mostly hide each other
_WITH_ARM = 0.12  # share of people with a raised arm
_AWAY = 0.08  # share of people who show the back of the head
_PLAIN = 0.4  # share of people in one colour


@dataclass(frozen=True)
class CrowdAssets:
    """Sources of faces and clothes.

    Attributes:
        face: Returns a face to paste, uint8 [S, S, 3].
        cloth: Returns a texture for clothes, uint8 [S, S, 3].
    """

    face: Callable[[], Pixels]
    cloth: Callable[[], Pixels]


@dataclass(frozen=True)
class Crowd:
    """Faces of an image after a crowd was drawn over it.

    Attributes:
        boxes: float32 [n, 4], the earlier faces, then the crowd's faces from back to front.
        seen: float32 [n], 0 to 1, visible fraction of each face.
    """

    boxes: Boxes
    seen: NDArray[np.float32]


def add_crowd(
    pixels: Pixels, before: Boxes, smallest: float, assets: CrowdAssets, rng: np.random.Generator
) -> Crowd:
    """Draw a crowd over an image, in place.

    Args:
        pixels: uint8 [H, W, 3], RGB.
        before: float32 [m, 4], faces in the image.
        smallest: Smallest face height in pixels.
        assets: Sources of faces and clothes.
        rng: Random generator.
    """
    scene = Scene(pixels, np.zeros(pixels.shape[:2], np.float32))
    boxes = [box[None] for box in before]
    for number, box in enumerate(before, 1):
        scene.show(box, number)
    for place in _places(rng, pixels.shape[1], pixels.shape[0], smallest):
        face = assets.face()
        skin = face.reshape(-1, 3).mean(axis=0)
        _draw_body(scene, place, skin, assets, rng)
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
    """Choose the places of the faces, back row first."""
    tallest = max(smallest * 1.1, 0.3 * min(width, height))
    side = float(np.exp(rng.uniform(np.log(smallest), np.log(tallest))))
    nearer, apart = rng.uniform(1.0, 1.25), rng.uniform(0.75, 1.3)
    y = rng.uniform(0, 0.5) * height
    places: list[Place] = []
    while y < height and len(places) < _MAX_PEOPLE:
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
    return places[:_MAX_PEOPLE]


def _draw_body(
    scene: Scene, place: Place, skin: NDArray[np.floating], assets: CrowdAssets, rng: np.random.Generator
) -> None:
    """Draw shoulders, neck and hair around the place of the face."""
    x, y, side = place.x, place.y, place.side
    shoulders = Ellipse(x, y + 1.15 * side, rng.uniform(0.7, 1.0) * side, 0.65 * side)
    if rng.random() < _PLAIN:
        scene.draw(shoulders, (rng.uniform(15, 230) + rng.normal(0, 30, 3)).clip(0, 255))
    else:
        scene.dress(shoulders, assets.cloth())
    neck = Ellipse(x, y + 0.45 * side, rng.uniform(0.2, 0.3) * side, rng.uniform(0.25, 0.4) * side)
    scene.draw(neck, skin * rng.uniform(0.6, 1.0))
    across, down = rng.uniform(0.38, 0.48) * side, rng.uniform(0.48, 0.56) * side
    hair = Ellipse(x, y - rng.uniform(0.08, 0.2) * side, across, down, place.turn)
    scene.draw(hair, rng.uniform(5, 110) * rng.uniform(0.7, 1.0, 3))


def _draw_arm(scene: Scene, place: Place, skin: NDArray[np.floating], rng: np.random.Generator) -> None:
    """Draw a raised bare arm next to the face."""
    x, y, side = place.x, place.y, place.side
    elbow = x + float(rng.choice([-1, 1])) * rng.uniform(0.45, 0.9) * side, y + rng.uniform(0.6, 1.2) * side
    hand = elbow[0] + rng.normal(0, 0.4) * side, elbow[1] - rng.uniform(0.8, 1.8) * side
    width = rng.uniform(0.18, 0.3) * side
    colour = skin * rng.uniform(0.7, 1.1)
    scene.stroke(elbow, hand, width, colour)
    scene.draw(Ellipse(*hand, 0.75 * width, 0.9 * width), colour)
