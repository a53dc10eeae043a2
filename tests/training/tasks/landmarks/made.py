"""Drawn faces with known landmarks, and a recipe that learns them in seconds."""

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from fer_training.engine.recipe import validate_recipe
from fer_training.tasks.landmarks.landmark_list import image_sha256
from fer_training.tasks.landmarks.recipe import SIDE, LandmarkRecipe
from numpy.typing import NDArray

from tests.training.synthetic import make_faces, write_parquet

FACE = np.array([[0.32, 0.38], [0.68, 0.38], [0.5, 0.58], [0.36, 0.76], [0.64, 0.76]])
_LEVELS = (20, 60, 110, 160, 90)  # of the five points; the image has 220


def make_points(count: int) -> NDArray[np.float32]:
    """Landmarks of slightly turned and shifted faces, [count, 5, 2] in sides."""
    rng = np.random.default_rng(0)
    angles = rng.normal(0, 0.15, count)
    turns = np.stack(
        [np.stack([np.cos(angles), np.sin(angles)], 1), np.stack([-np.sin(angles), np.cos(angles)], 1)], 1
    )
    points: NDArray[np.float32] = ((FACE - 0.5) @ turns + 0.5 + rng.normal(0, 0.03, (count, 1, 2))).astype(
        np.float32
    )
    return points


def make_tiles(points: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Light tiles with a dark disc at every point, uint8 [n, 48, 48]."""
    tiles = np.full((len(points), SIDE, SIDE), 220, np.uint8)
    for tile, places in zip(tiles, points, strict=True):
        for (x, y), level in zip(places * SIDE, _LEVELS, strict=True):
            cv2.circle(tile, (round(float(x) * 16 - 8), round(float(y) * 16 - 8)), 40, level, -1, cv2.LINE_AA, 4)
    return tiles


def make_recipe(**changes: object) -> LandmarkRecipe:
    content: dict[str, object] = {
        "task": "landmarks",
        "name": "tiny",
        "description": "Finds five discs.",
        "widths": [8, 16, 24, 32],
        "batch_size": 32,
        "changes": {"turn": 40, "tilt": 5, "scale": 0.05, "shift": 0.03, "coarse": 0, "noise": 0},
        "phases": [
            {
                "name": "all",
                "epochs": 12,
                "optimizer": {"name": "adamw", "lr": 0.01},
                "schedule": {"name": "onecycle"},
            }
        ],
        "ema_decay": 0.95,
    }
    return validate_recipe(LandmarkRecipe, content | changes, "tiny")


def write_images(tiles: NDArray[np.uint8], path: Path) -> None:
    """Write tiles as a data set of two splits; the last fifth is for validation."""
    made = make_faces()
    splits = np.where(np.arange(len(tiles)) < len(tiles) * 4 // 5, "Training", "PublicTest").astype(np.str_)
    labels = np.arange(len(tiles)) % len(made.classes)
    write_parquet(replace(made, images=tiles[..., None], labels=labels, splits=splits), path)


def write_landmarks(tiles: NDArray[np.uint8], points: NDArray[np.float32], path: Path) -> None:
    names = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", *(f"{name}_{axis}" for name in names for axis in "xy")])
        for tile, places in zip(tiles, points, strict=True):
            writer.writerow([image_sha256(tile), *(places * SIDE).flat])
