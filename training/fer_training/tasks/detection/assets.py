"""Training data of a detector: photographs with face boxes, and face images to paste."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_training.data import load_dataset
from fer_training.engine.run_folder import RunFolder
from fer_training.errors import DataError, RunError
from fer_training.tasks.detection.boxes import no_boxes
from fer_training.tasks.detection.photographs import Photograph, read_photographs
from fer_training.tasks.detection.recipe import DetectionRecipe, SceneConfig
from fer_training.tasks.detection.scenes.negatives import HELD_OUT_NEGATIVES, TRAIN_NEGATIVES, load_negatives
from fer_training.tasks.detection.scenes.paste import TILE
from fer_training.tasks.detection.scenes.scene_generator import SceneGenerator

NAME = "photographs with face boxes, and pasted faces"


@dataclass(frozen=True)
class SceneAssets:
    """Data of a training run.

    Attributes:
        train: Photographs for training images.
        held_out: Photographs for evaluation.
        faces: uint8 [n, 48, 48], grey faces to paste.
        sha256: SHA-256 of the photographs, then of the face data.
        empty: Held-out images without people, for the calibration of the scores.
    """

    train: tuple[Photograph, ...]
    held_out: tuple[Photograph, ...]
    faces: NDArray[np.uint8]
    sha256: tuple[str, str]
    empty: tuple[Photograph, ...] = ()

    def scene_generator(self, config: SceneConfig) -> SceneGenerator:
        """Build the generator of training images."""
        return SceneGenerator(config, self.train, self.faces, list(load_negatives(TRAIN_NEGATIVES).values()))


def read_assets(photographs: Path, faces: Path, recipe: DetectionRecipe, limit: int | None = None) -> SceneAssets:
    """Read photographs and faces.

    Args:
        photographs: Folder of photographs (see `read_photographs`).
        faces: Path of the face data (see `load_dataset`). The training split is used.
        recipe: Recipe with the held-out share and the seed.
        limit: Maximum photographs of each split, and about how many faces, of all classes; None uses all.

    Raises:
        DataError: The data cannot be read, or the faces have no training split.
    """
    boxed = read_photographs(photographs)
    data = load_dataset(faces, TILE)
    split = data.first_split(("Training", "train", "all"))
    if split is None:
        raise DataError(f"{faces}: no split is named Training, train or all; found {', '.join(data.split_sizes)}")
    chosen = data.split(split).limited(limit) if limit else data.split(split)
    tiles = np.stack([image.mean(axis=2).astype(np.uint8) for image in chosen.images])
    # Split first: an evaluation of the file splits the whole folder.
    train, held_out = (part[:limit] for part in boxed.split(recipe.hold_out, recipe.seed))
    empty = tuple(
        Photograph(name, pixels, no_boxes(), np.empty(0, bool))
        for name, pixels in load_negatives(HELD_OUT_NEGATIVES).items()
    )
    return SceneAssets(train, held_out, tiles, (boxed.sha256, data.sha256), empty)


def run_assets(
    run: RunFolder, recipe: DetectionRecipe, data: Path | None = None, faces: Path | None = None
) -> SceneAssets:
    """Load the data that a detector was trained on.

    Args:
        run: Run of a detector.
        recipe: Recipe of the run.
        data: New path of the photographs, if they were moved.
        faces: New path of the faces, if they were moved.

    Raises:
        RunError: The data differs from the run's data.
        DataError: The data is missing or cannot be read.
    """
    recorded = run.environment()["data"]
    paths = data or Path(recorded["path"]), faces or Path(recorded["faces"])
    assets = read_assets(*paths, recipe, recorded["limit"])
    if list(assets.sha256) != recorded["sha256"]:
        raise RunError(
            f"{paths[0]} and {paths[1]} differ from the data that {run.path} was trained on: "
            "give the original data with --data and --faces"
        )
    return assets
