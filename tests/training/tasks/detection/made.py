"""Small photographs, face tiles and a recipe, for detector trainings of a few seconds."""

import json
from pathlib import Path

import cv2
import numpy as np
from fer_training.engine.recipe import validate_recipe
from fer_training.tasks.detection.assets import SceneAssets
from fer_training.tasks.detection.photographs import Photograph
from fer_training.tasks.detection.recipe import DetectionRecipe
from numpy.typing import NDArray

from tests.conftest import encode_image

Pixels = NDArray[np.uint8]
WIDTHS = {"stem": 8, "quarter": 8, "stages": [16, 16, 16], "blocks": [1, 1, 1], "neck": 16}
SCENES = {"sides": [96], "pixels": 8 * 96 * 96, "mosaic": 0.2, "smallest": 14, "rotate": 10, "cover": 0.0}


def phases(*epochs: int) -> list[dict[str, object]]:
    """One phase per argument, with that many epochs."""
    rate = {"optimizer": {"name": "adamw", "lr": 0.01}, "schedule": {"name": "constant"}}
    return [{"name": f"phase {number}", "epochs": count} | rate for number, count in enumerate(epochs)]


def make_recipe(**changes: object) -> DetectionRecipe:
    content: dict[str, object] = {
        "task": "detection",
        "name": "tiny",
        "description": "Finds discs with eyes.",
        "network": WIDTHS,
        "scenes": SCENES,
        "epoch_images": 16,
        "hold_out": 0.25,
        "phases": phases(2, 1),
        "ema_decay": 0.9,
    }
    return validate_recipe(DetectionRecipe, content | changes, "tiny")


def face_tile(level: int = 200) -> Pixels:
    """A bright disc with two eyes and a mouth, uint8 [48, 48]."""
    tile = np.full((48, 48), 60, np.uint8)
    cv2.ellipse(tile, (24, 24), (19, 21), 0, 0, 360, level, -1)
    for x in (16, 32):
        cv2.circle(tile, (x, 19), 3, 20, -1)
    cv2.ellipse(tile, (24, 34), (8, 3), 0, 0, 360, 20, -1)
    return tile


def photograph(number: int, faces: int = 2) -> Photograph:
    """A 160×120 noise image with faces; the second face is covered."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(40, 90, (120, 160, 3)).astype(np.uint8)
    boxes = []
    for place in range(faces):
        side = int(rng.integers(24, 60))
        left, top = place * 80 + int(rng.integers(0, 80 - side)), int(rng.integers(0, 120 - side))
        tile = cv2.resize(face_tile(), (side, side), interpolation=cv2.INTER_AREA)
        pixels[top : top + side, left : left + side] = tile[..., None]
        boxes.append([left + 0.1 * side, top + 0.06 * side, left + 0.9 * side, top + 0.94 * side])
    return Photograph(
        f"photo{number:02}",
        pixels,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([place != 1 for place in range(faces)], bool),
    )


def make_assets(count: int = 12) -> SceneAssets:
    photos = tuple(photograph(number) for number in range(count))
    return SceneAssets(
        photos[3:], photos[:3], np.stack([face_tile(level) for level in (150, 200, 250)]), ("1", "2")
    )


def write_photographs(folder: Path, photos: tuple[Photograph, ...]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    index = {}
    for photo in photos:
        (folder / f"{photo.name}.png").write_bytes(encode_image(photo.pixels, ".png"))
        kinds = ["bare" if bare else "mask" for bare in photo.bare]
        faces = [[*map(float, box), kind] for box, kind in zip(photo.boxes, kinds, strict=True)]
        index[photo.name] = {"width": 160, "height": 120, "faces": faces}
    (folder / "faces.json").write_text(json.dumps(index), encoding="utf-8")
    return folder
