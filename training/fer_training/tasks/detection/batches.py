"""Batches of generated training images. A batch depends only on the seed, the epoch and its number."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fer_training.data.images import prefetch
from fer_training.tasks.detection.boxes import Boxes
from fer_training.tasks.detection.recipe import DetectionRecipe
from fer_training.tasks.detection.scenes.scene_generator import SceneGenerator


@dataclass(frozen=True)
class Batch:
    """Images of one size with their boxes.

    Attributes:
        pixels: uint8 [N, S, S, 3], RGB.
        faces: float32 [N, f, 4], padded with rows of zeros.
        ignored: float32 [N, i, 4], padded with rows of zeros.
    """

    pixels: Tensor
    faces: Tensor
    ignored: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    def to(self, device: torch.device) -> "Batch":
        """Move the batch to a device."""
        return Batch(self.pixels.to(device), self.faces.to(device), self.ignored.to(device))


class Epoch(Dataset[Batch]):
    """Batches of an epoch, by number."""

    def __init__(self, generator: SceneGenerator, recipe: DetectionRecipe, epoch: int) -> None:
        self._generator, self._recipe, self._epoch = generator, recipe, epoch

    def __len__(self) -> int:
        return steps_per_epoch(self._recipe)

    def __getitem__(self, step: int) -> Batch:
        # One OpenCV thread per worker is enough: the workers and torch already use all cores.
        cv2.setNumThreads(1)
        config = self._recipe.scenes
        seed = (self._recipe.seed, self._epoch, step)
        side = int(np.random.default_rng(seed).choice(config.sides))
        made = [
            self._generator.generate(np.random.default_rng((*seed, number)), side)
            for number in range(max(config.pixels // side**2, 1))
        ]
        return Batch(
            torch.from_numpy(np.stack([image.pixels for image in made])),
            torch.from_numpy(_pad([image.boxes for image in made])),
            torch.from_numpy(_pad([image.ignored for image in made])),
        )


def steps_per_epoch(recipe: DetectionRecipe) -> int:
    """Number of batches per epoch, from the epoch's images and the mean batch size."""
    config = recipe.scenes
    mean = np.mean([max(config.pixels // side**2, 1) for side in config.sides])
    return max(round(recipe.epoch_images / float(mean)), 1)


def batches(generator: SceneGenerator, recipe: DetectionRecipe, epoch: int) -> Iterator[Batch]:
    """Yield the batches of an epoch. A thread or worker processes generate them ahead."""
    made = Epoch(generator, recipe, epoch)
    if recipe.workers == 0:
        return prefetch(made[step] for step in range(len(made)))
    return iter(DataLoader(made, batch_size=None, num_workers=recipe.workers))


def _pad(boxes: list[Boxes]) -> NDArray[np.float32]:
    longest = max(1, *(len(entry) for entry in boxes))
    padded = np.zeros((len(boxes), longest, 4), np.float32)
    for row, entry in enumerate(boxes):
        padded[row, : len(entry)] = entry
    return padded
