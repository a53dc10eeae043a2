"""A labelled set of face pictures, whole in memory."""

from collections import Counter
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from service.imaging.crop import crop, square_over
from service.inference.bundle import CropGeometry
from training.errors import DataError


@dataclass(frozen=True)
class FaceDataset:
    """Face pictures with labels and splits; row i of every array is about picture i.

    Attributes:
        name: What people call the set.
        images: uint8 [N, S, S, C], C = 1 (grey) or 3 (RGB).
        labels: int64 [N], indices into `classes`.
        splits: str [N], the split each picture belongs to.
        classes: Class names, in label order.
        sha256: Of the bytes it was read from, in hexadecimal.
        votes: float32 [N, classes], how a crowd saw each picture: rows sum to 1, or to 0 where nobody was asked;
            None where there was no crowd.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]
    classes: tuple[str, ...]
    sha256: str
    votes: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def split_sizes(self) -> dict[str, int]:
        """Pictures a split, in the order in which the splits first appear."""
        return dict(Counter(self.splits.tolist()))

    def split(self, name: str) -> "FaceDataset":
        """The pictures of one split.

        Raises:
            DataError: there is no such split.
        """
        chosen = self.splits == name
        if not chosen.any():
            raise DataError(f"{self.name} has no split {name!r}; it has {', '.join(self.split_sizes)}")
        return self._rows(chosen)

    def with_classes(self, labels: tuple[str, ...]) -> "FaceDataset":
        """The pictures of these classes, numbered in this order; the others are left out.

        Raises:
            DataError: the data lacks one of the classes.
        """
        missing = [label for label in labels if label not in self.classes]
        if missing:
            raise DataError(
                f"{self.name} has no class {', '.join(map(repr, missing))}; it has {', '.join(self.classes)}"
            )
        new_index = np.full(len(self.classes), -1, np.int64)
        for index, label in enumerate(labels):
            new_index[self.classes.index(label)] = index
        numbered = replace(self, labels=new_index[self.labels], classes=labels)
        if self.votes is not None:
            kept = self.votes[:, [self.classes.index(label) for label in labels]]
            numbered = replace(numbered, votes=normalised(kept))
        return numbered._rows(numbered.labels >= 0)

    def fitted(self, size: int, channels: int) -> "FaceDataset":
        """The same pictures as a network with this input sees them: cropped whole, grey or RGB."""
        images = self.images
        if images.shape[1:3] != (size, size):
            images = np.stack([resized(image, size) for image in images])
        if images.shape[3] == 3 and channels == 1:
            images = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] for image in images])
        elif images.shape[3] == 1 and channels == 3:
            images = np.repeat(images, 3, axis=3)
        return replace(self, images=images.astype(np.uint8, copy=False))

    def first_split_of(self, names: tuple[str, ...]) -> str | None:
        """The first of these names that is a split here."""
        return next((name for name in names if name in self.split_sizes), None)

    def held_out(self, fit: str, fraction: float, seed: int) -> "FaceDataset":
        """The set with a stratified part of split `fit` renamed to `held-out`; the same seed, the same part."""
        rng = np.random.default_rng(seed)
        splits = self.splits.astype(object)
        for label in range(len(self.classes)):
            rows = np.flatnonzero((self.splits == fit) & (self.labels == label))
            splits[rng.permutation(rows)[: round(len(rows) * fraction)]] = "held-out"
        return replace(self, splits=splits.astype(np.str_))

    def stratified(self, count: int, seed: int) -> "FaceDataset":
        """About `count` pictures with the classes' shares of the whole, at least one of each that is there."""
        rng = np.random.default_rng(seed)
        chosen = np.zeros(len(self), bool)
        for label in np.unique(self.labels):
            rows = rng.permutation(np.flatnonzero(self.labels == label))
            chosen[rows[: max(round(count * len(rows) / len(self)), 1)]] = True
        return self._rows(chosen)

    def limited(self, rows_a_split: int) -> "FaceDataset":
        """The first rows of every split: for trying things out."""
        keep = np.zeros(len(self), bool)
        for name in self.split_sizes:
            keep[np.flatnonzero(self.splits == name)[:rows_a_split]] = True
        return self._rows(keep)

    def _rows(self, chosen: NDArray[np.bool_]) -> "FaceDataset":
        return replace(
            self,
            images=self.images[chosen],
            labels=self.labels[chosen],
            splits=self.splits[chosen],
            votes=None if self.votes is None else self.votes[chosen],
        )


def normalised(votes: NDArray[np.floating]) -> NDArray[np.float32]:
    """Counts [N, classes] as shares that sum to 1; rows without a vote stay 0."""
    totals = votes.sum(axis=1, keepdims=True)
    shares = votes / np.where(totals > 0, totals, 1)
    return shares.astype(np.float32)


def resized(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A whole picture, uint8 [H, W, C], as a square of `size` pixels, as the service crops with `detect=false`."""
    whole = square_over(image.shape[1], image.shape[0])
    return crop(image, whole, size, CropGeometry()).reshape(size, size, image.shape[2])
