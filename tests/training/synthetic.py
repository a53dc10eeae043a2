"""A synthetic data set with simple patterns as classes, writers for all layouts, and a recipe for it."""

import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pyarrow
import pyarrow.parquet
from fer_training.data import FaceDataset
from fer_training.data.labels import FER2013_LABELS
from fer_training.engine.recipe import validate_recipe
from fer_training.tasks.emotion.recipe import EmotionRecipe
from numpy.typing import NDArray

SPLIT_SIZES = {"Training": 84, "PublicTest": 35}
ARGUMENTS = {"channels": [8, 8, 16, 16], "layers": [1, 1, 1, 1]}
NETWORK = {
    "name": "resnet18",
    "arguments": ARGUMENTS,
    "stem": {"kernel": 3, "stride": 2},
    "input_size": 48,
}
PHASE = {
    "name": "all",
    "epochs": 3,
    "optimizer": {"name": "sgd", "lr": 0.1},
    "schedule": {"name": "constant"},
}


def make_faces() -> FaceDataset:
    """48×48 grey images of one noisy pattern per class, the same number per class in each split."""
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(count) % 7 for count in SPLIT_SIZES.values()])
    images = np.stack([_patterns()[label] for label in labels]) + rng.normal(0, 15, (len(labels), 48, 48))
    return FaceDataset(
        name="FER-2013",
        images=images.clip(0, 255).astype(np.uint8)[..., None],
        labels=labels.astype(np.int64),
        splits=np.repeat(list(SPLIT_SIZES), list(SPLIT_SIZES.values())).astype(np.str_),
        classes=FER2013_LABELS,
        sha256="0" * 64,
    )


def recipe_content(**changes: object) -> dict[str, object]:
    """A recipe that learns the patterns in a few steps. `changes` replace its values."""
    content: dict[str, object] = {
        "name": "tiny",
        "description": "Learns seven patterns.",
        "network": NETWORK,
        "phases": [PHASE],
        "batch_size": 14,
    }
    return content | changes


def make_recipe(**changes: object) -> EmotionRecipe:
    return validate_recipe(EmotionRecipe, recipe_content(**changes), "tiny")


def write_parquet(faces: FaceDataset, path: Path, **columns: list[object]) -> Path:
    """Write the data as parquet. `columns` replace columns by name."""
    content: dict[str, list[object]] = {
        "row": list(range(len(faces))),
        "usage": faces.splits.tolist(),
        "emotion": faces.labels.tolist(),
        "ferplus_votes": [[0] * 10] * len(faces),
        "image": [png(image) for image in faces.images],
    }
    pyarrow.parquet.write_table(pyarrow.table(content | columns), path)
    return path


def write_csv(faces: FaceDataset, path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["emotion", "pixels", "Usage"])
        for label, image, split in zip(faces.labels, faces.images, faces.splits, strict=True):
            writer.writerow([label, " ".join(map(str, image.ravel())), split])
    return path


def write_folders(faces: FaceDataset, root: Path, *, by_split: bool = True) -> Path:
    for row, (label, image, split) in enumerate(zip(faces.labels, faces.images, faces.splits, strict=True)):
        folder = (root / split if by_split else root) / faces.classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{row:05}.png").write_bytes(png(image))
    return root


def contents(faces: FaceDataset) -> Counter[tuple[str, str, bytes]]:
    """Count each (split, class, grey image). All layouts must give the same counts."""
    assert (faces.images == faces.images[..., :1]).all()
    names = [faces.classes[label] for label in faces.labels]
    images = [image.tobytes() for image in faces.images[..., 0]]
    return Counter(zip(faces.splits.tolist(), names, images, strict=True))


def png(image: NDArray[np.uint8]) -> bytes:
    done, buffer = cv2.imencode(".png", image)
    assert done
    return buffer.tobytes()


def _patterns() -> list[NDArray[np.float64]]:
    y, x = np.mgrid[:48, :48]
    stripes = [x * 5, 235 - x * 5, y * 5, 235 - y * 5, x // 6 % 2 * 235, y // 6 % 2 * 235]
    return [pattern * 0.7 + 20 for pattern in [*stripes, (x // 8 + y // 8) % 2 * 235]]
