"""A landmark training: faces whose landmarks are known."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from fer_training.data import load_dataset
from fer_training.data.dataset import FaceDataset
from fer_training.errors import DataError, RunError
from fer_training.tasks.landmarks.augment import augment
from fer_training.tasks.landmarks.landmark_list import read_landmarks
from fer_training.tasks.landmarks.network import LandmarkNetwork
from fer_training.tasks.landmarks.recipe import SIDE, LandmarkRecipe

CLOSE = 0.05  # sides
_TRAINING = ("Training", "train")
_VALIDATION = ("PublicTest", "validation", "test")
_BATCH = 512


@dataclass(frozen=True)
class Faces:
    """Faces with known landmarks.

    Attributes:
        levels: Grey levels, float [n, 1, 48, 48].
        points: float [n, 5, 2], in sides.
    """

    levels: Tensor
    points: Tensor

    def __len__(self) -> int:
        return len(self.levels)


@dataclass(frozen=True)
class LandmarkData:
    """Faces for training and for validation, the name of the data, and the checksum of images and landmarks."""

    train: Faces
    validation: Faces
    name: str
    sha256: str


def read_data(images: Path, landmarks: Path, limit: int | None = None) -> LandmarkData:
    """Read faces and their landmarks.

    Args:
        images: Face images (see `load_dataset`), with a split for training and one for validation.
        landmarks: Their landmarks (see `read_landmarks`). Images that it does not list are left out.
        limit: Maximum number of faces per split, evenly chosen; None uses all.

    Raises:
        DataError: The data cannot be read, or a split is missing.
    """
    data = load_dataset(images, SIDE)
    train = _known(_split(data, _TRAINING, images), landmarks, limit)
    validation = _known(_split(data, _VALIDATION, images), landmarks, limit)
    digest = hashlib.sha256(data.sha256.encode())
    for faces in (train, validation):
        digest.update(faces.points.numpy().tobytes())
    return LandmarkData(train, validation, data.name, digest.hexdigest())


def read_validation(images: Path, landmarks: Path) -> Faces:
    """Read the faces for validation (see `read_data`)."""
    return _known(_split(load_dataset(images, SIDE), _VALIDATION, images), landmarks, None)


def _split(data: FaceDataset, names: tuple[str, ...], images: Path) -> FaceDataset:
    split = data.first_split(names)
    if split is None:
        raise DataError(f"{images}: no split named {' or '.join(names)}; found {', '.join(data.split_sizes)}")
    return data.split(split)


def _known(data: FaceDataset, landmarks: Path, limit: int | None) -> Faces:
    grey = np.stack([image.mean(axis=2).astype(np.uint8) for image in data.images])
    points = read_landmarks(landmarks, grey)
    known = np.isfinite(points).all(axis=(1, 2))
    if limit and known.any():
        rows = np.flatnonzero(known)
        known = np.zeros(len(data), bool)
        known[rows[np.linspace(0, len(rows) - 1, min(limit, len(rows))).astype(int)]] = True
    return Faces(torch.from_numpy(grey[known]).float()[:, None], torch.from_numpy(points[known]))


class LandmarkLearner:
    """A `Learner` of landmarks. The metric is the share of points closer than 0.05 sides."""

    metric, keeps_best = "close", True

    def __init__(
        self, recipe: LandmarkRecipe, data: LandmarkData, fabric: Fabric, about: Mapping[str, Any]
    ) -> None:
        """Prepare.

        Args:
            recipe: Recipe of the run.
            data: The faces.
            fabric: Device and precision.
            about: Entries of environment.json.

        Raises:
            RunError: `torchrun` started several processes.
        """
        if fabric.world_size > 1:
            raise RunError("landmark training runs in one process only: start it without torchrun")
        self.recipe, self.about, self._data, self._fabric = recipe, about, data, fabric
        self.steps = max(len(data.train) // recipe.batch_size, 1)
        self.sizes = len(data.train), len(data.validation)

    def build(self, phase: int) -> nn.Module:
        """Build the network."""
        return LandmarkNetwork(self.recipe.widths)

    def changes_network(self, phase: int) -> bool:
        """Return False: all phases have the same network."""
        return False

    def adopt(self, network: nn.Module, before: nn.Module) -> None:
        """Do nothing: all phases have the same network."""

    def begin_phase(self, phase: int, network: nn.Module) -> None:
        """Do nothing: all phases train all layers with the same data."""

    def batches(self, epoch: int) -> Iterator[Tensor]:
        """Yield the rows of each batch."""
        order = torch.randperm(len(self._data.train))
        yield from torch.split(order, self.recipe.batch_size)[: self.steps]

    def loss(self, model: nn.Module, batch: Tensor) -> Tensor:
        """Return the smooth L1 loss of a batch."""
        faces = self._data.train
        levels, points = augment(faces.levels[batch], faces.points[batch], self.recipe.changes)
        found = model(levels.to(self._fabric.device))
        return functional.smooth_l1_loss(found, points.flatten(1).to(found.device), beta=self.recipe.near)

    def validate(self, network: nn.Module) -> float:
        """Return the share of points that are closer than `CLOSE`."""
        faces = self._data.validation
        network.eval()
        with torch.inference_mode():
            found = torch.cat(
                [network(part.to(self._fabric.device)) for part in torch.split(faces.levels, _BATCH)]
            )
        apart = (found.cpu().reshape(-1, 5, 2) - faces.points).norm(dim=2)
        return float((apart < CLOSE).float().mean())
