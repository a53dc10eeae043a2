"""What a detector is made from: photographs with boxed faces, and faces to paste."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_training.data import load_dataset
from fer_training.detector.boxes import no_boxes
from fer_training.detector.negatives import FITTED, UNSEEN, images
from fer_training.detector.paste import TILE
from fer_training.detector.photographs import Photograph, read_photographs
from fer_training.detector.recipe import Compose, DetectorRecipe
from fer_training.detector.scene_generator import SceneGenerator
from fer_training.errors import DataError

NAME = "boxed photographs, and faces pasted into them"


@dataclass(frozen=True)
class SceneAssets:
    """The data of a training.

    Attributes:
        train: Photographs that training images are made from.
        held_out: Photographs to choose and evaluate by.
        faces: uint8 [n, 48, 48], grey faces to paste.
        sha256: Of the photographs, then of the faces' file.
        empty: Images without people, to calibrate the scores by.
    """

    train: tuple[Photograph, ...]
    held_out: tuple[Photograph, ...]
    faces: NDArray[np.uint8]
    sha256: tuple[str, str]
    empty: tuple[Photograph, ...] = ()

    def composer(self, config: Compose) -> SceneGenerator:
        """What makes the training images."""
        return SceneGenerator(config, self.train, self.faces, list(images(FITTED).values()))


def read_assets(photographs: Path, faces: Path, recipe: DetectorRecipe, limit: int | None = None) -> SceneAssets:
    """Read both.

    Args:
        photographs: What `read_photographs` takes.
        faces: What `load_dataset` takes; of splits the first that is for fitting.
        recipe: Says which share of the photographs is held out.
        limit: Take so many photographs and faces.

    Raises:
        DataError: one of them cannot be read, or has no split to fit to.
    """
    boxed = read_photographs(photographs)
    data = load_dataset(faces, TILE)
    split = data.first_split_of(("Training", "train", "all"))
    if split is None:
        raise DataError(f"{faces}: none of its splits {', '.join(data.split_sizes)} is Training, train or all")
    chosen = data.split(split)
    tiles = np.stack([image.mean(axis=2).astype(np.uint8) for image in chosen.images][:limit])
    train, held_out = boxed.limited(limit).halves(recipe.hold_out, recipe.seed)
    empty = tuple(
        Photograph(name, pixels, no_boxes(), np.empty(0, bool)) for name, pixels in images(UNSEEN).items()
    )
    return SceneAssets(train, held_out, tiles, (boxed.sha256, data.sha256), empty)
