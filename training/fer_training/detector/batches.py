"""Composed images as batches of tensors; a batch follows from the seed, the epoch and its number alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fer_training.data.images import prefetched
from fer_training.detector.boxes import Boxes
from fer_training.detector.recipe import DetectorRecipe
from fer_training.detector.scene_generator import SceneGenerator


@dataclass(frozen=True)
class Batch:
    """Images of one size.

    Attributes:
        pixels: uint8 [N, S, S, 3], RGB.
        faces: float32 [N, f, 4], padded with rows of zeros.
        ignored: float32 [N, i, 4], likewise.
    """

    pixels: Tensor
    faces: Tensor
    ignored: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        return Batch(self.pixels.to(device), self.faces.to(device), self.ignored.to(device))


class Epoch(Dataset[Batch]):
    """The batches of an epoch, by number."""

    def __init__(self, composer: SceneGenerator, recipe: DetectorRecipe, epoch: int) -> None:
        self._composer, self._recipe, self._epoch = composer, recipe, epoch

    def __len__(self) -> int:
        return steps_of(self._recipe)

    def __getitem__(self, step: int) -> Batch:
        # More threads than processes would only take turns on the same cores.
        cv2.setNumThreads(1)
        config = self._recipe.compose
        seed = (self._recipe.seed, self._epoch, step)
        side = int(np.random.default_rng(seed).choice(config.sides))
        made = [
            self._composer.compose(np.random.default_rng((*seed, number)), side)
            for number in range(max(config.pixels // side**2, 1))
        ]
        return Batch(
            torch.from_numpy(np.stack([image.pixels for image in made])),
            torch.from_numpy(_padded([image.boxes for image in made])),
            torch.from_numpy(_padded([image.ignored for image in made])),
        )


def steps_of(recipe: DetectorRecipe) -> int:
    """Batches an epoch: as many as have the epoch's images at the mean size."""
    config = recipe.compose
    mean = np.mean([max(config.pixels // side**2, 1) for side in config.sides])
    return max(round(recipe.epoch_images / float(mean)), 1)


def batches(composer: SceneGenerator, recipe: DetectorRecipe, epoch: int) -> Iterator[Batch]:
    """The batches of an epoch, made while the one before is used: on a thread, or in processes."""
    made = Epoch(composer, recipe, epoch)
    if recipe.workers == 0:
        return prefetched(made[step] for step in range(len(made)))
    return iter(DataLoader(made, batch_size=None, num_workers=recipe.workers))


def _padded(boxes: list[Boxes]) -> NDArray[np.float32]:
    most = max(1, *(len(entry) for entry in boxes))
    padded = np.zeros((len(boxes), most, 4), np.float32)
    for row, entry in enumerate(boxes):
        padded[row, : len(entry)] = entry
    return padded
