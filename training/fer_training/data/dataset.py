"""A labelled set of face images."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fer_training.data.images import FileImages
from fer_training.data.votes import normalised
from fer_training.errors import DataError

HELD_OUT = "held-out"


@dataclass(frozen=True)
class FaceDataset:
    """Face images with labels and splits; row i of every array is about image i.

    Attributes:
        name: What people call the set.
        images: uint8 [N, S, S, C], C = 1 (grey) or 3 (RGB), in memory or read from files image by image.
        labels: int64 [N], indices into `classes`.
        splits: str [N], the split each image belongs to.
        classes: Class names, in label order.
        sha256: Of the bytes it was read from, in hexadecimal.
        votes: float32 [N, classes], how a crowd saw each image: rows sum to 1, or to 0 where nobody was asked;
            None where there was no crowd.
        unreadable: Files that were left out, each with the reason.
    """

    name: str
    images: NDArray[np.uint8] | FileImages
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]
    classes: tuple[str, ...]
    sha256: str
    votes: NDArray[np.float32] | None = None
    unreadable: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def split_sizes(self) -> dict[str, int]:
        """Images a split, in the order in which the splits first appear."""
        return dict(Counter(self.splits.tolist()))

    def split(self, name: str) -> "FaceDataset":
        """The images of one split.

        Raises:
            DataError: there is no such split.
        """
        chosen = self.splits == name
        if not chosen.any():
            raise DataError(f"{self.name} has no split {name!r}; it has {', '.join(self.split_sizes)}")
        return self._rows(chosen)

    def with_classes(self, labels: tuple[str, ...]) -> "FaceDataset":
        """The images of these classes, numbered in this order; the others are left out.

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

    def renamed(self, names: dict[str, str]) -> "FaceDataset":
        """The set with other class names; classes that get the same name become one.

        Args:
            names: From the data's names to others; names that are not there are passed over.
        """
        new = [names.get(label, label) for label in self.classes]
        classes = tuple(dict.fromkeys(new))
        index = np.array([classes.index(label) for label in new], np.int64)
        votes = None
        if self.votes is not None:
            votes = np.zeros((len(self), len(classes)), np.float32)
            for old, target in enumerate(index):
                votes[:, target] += self.votes[:, old]
        return replace(self, labels=index[self.labels], classes=classes, votes=votes)

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images of these rows, uint8 [len(rows), S, S, C]."""
        chosen = self.images[rows]
        return chosen.load() if isinstance(chosen, FileImages) else chosen

    def first_split_of(self, names: tuple[str, ...]) -> str | None:
        """The first of these names that is a split here."""
        return next((name for name in names if name in self.split_sizes), None)

    def held_out(self, train: str, fraction: float, seed: int) -> "FaceDataset":
        """The set with a stratified part of split `train` renamed to `held-out`; the same seed, the same part."""
        rng = np.random.default_rng(seed)
        splits = self.splits.astype(object)
        for label in range(len(self.classes)):
            rows = np.flatnonzero((self.splits == train) & (self.labels == label))
            splits[rng.permutation(rows)[: round(len(rows) * fraction)]] = HELD_OUT
        return replace(self, splits=splits.astype(np.str_))

    def stratified(self, count: int, seed: int) -> "FaceDataset":
        """About `count` images with the classes' shares of the whole, at least one of each that is there."""
        return self._rows(self.drawn(count, seed))

    def drawn(self, count: int, seed: int) -> NDArray[np.bool_]:
        """Which images `stratified` takes: bool [N]."""
        rng = np.random.default_rng(seed)
        chosen = np.zeros(len(self), bool)
        for label in np.unique(self.labels):
            rows = rng.permutation(np.flatnonzero(self.labels == label))
            chosen[rows[: max(round(count * len(rows) / len(self)), 1)]] = True
        return chosen

    def limited(self, rows_a_split: int) -> "FaceDataset":
        """A stratified part of every split, of about so many images: for trying things out."""
        keep = np.zeros(len(self), bool)
        for name in self.split_sizes:
            rows = np.flatnonzero(self.splits == name)
            part = self._rows(self.splits == name)
            keep[rows[part.drawn(rows_a_split, seed=0)]] = True
        return self._rows(keep)

    def _rows(self, chosen: NDArray[np.bool_]) -> "FaceDataset":
        return replace(
            self,
            images=self.images[chosen],
            labels=self.labels[chosen],
            splits=self.splits[chosen],
            votes=None if self.votes is None else self.votes[chosen],
        )
