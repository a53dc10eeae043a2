"""The data set of labelled face images."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fer_training.data.images import FileImages
from fer_training.data.names import readable, split_key
from fer_training.data.votes import normalise_votes
from fer_training.errors import DataError

HELD_OUT = "held-out"


@dataclass(frozen=True)
class FaceDataset:
    """Face images with labels and splits. Row i of every array belongs to image i.

    Attributes:
        name: Name of the data set.
        images: uint8 [N, S, S, C], C = 1 (grey) or 3 (RGB), in memory or read from files on demand.
        labels: int64 [N], indices into `classes`.
        splits: str [N], split of each image.
        classes: Class names, in label order.
        sha256: SHA-256 of the source files, in hexadecimal.
        votes: float32 [N, classes], shares of the annotators' votes. Rows sum to 1, or to 0 for images without
            votes. None if the data has no votes.
        unreadable: Skipped files, each with the reason.
        notes: Sentences about what was passed over, matched or renamed while reading.
    """

    name: str
    images: NDArray[np.uint8] | FileImages
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]
    classes: tuple[str, ...]
    sha256: str
    votes: NDArray[np.float32] | None = None
    unreadable: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def split_sizes(self) -> dict[str, int]:
        """Number of images per split, in order of first appearance."""
        return dict(Counter(self.splits.tolist()))

    def split(self, name: str) -> "FaceDataset":
        """Return the images of one split. Other spellings of a usual name are accepted, such as Test for test.

        Raises:
            DataError: The split is unknown.
        """
        known = self.first_split((name,))
        if known is None:
            raise DataError(f"{self.name} has no split {name!r}; available: {', '.join(self.split_sizes)}")
        return self._rows(self.splits == known)

    def with_classes(self, labels: tuple[str, ...]) -> "FaceDataset":
        """Keep the images of these classes. The labels are renumbered in this order.

        Raises:
            DataError: A class is unknown.
        """
        missing = [label for label in labels if label not in self.classes]
        if missing:
            raise DataError(
                f"{self.name} has no class {', '.join(map(repr, missing))}; available: {', '.join(self.classes)}. "
                "Give the data that the model was trained on"
            )
        new_index = np.full(len(self.classes), -1, np.int64)
        for index, label in enumerate(labels):
            new_index[self.classes.index(label)] = index
        numbered = replace(self, labels=new_index[self.labels], classes=labels)
        if self.votes is not None:
            kept = self.votes[:, [self.classes.index(label) for label in labels]]
            numbered = replace(numbered, votes=normalise_votes(kept))
        return numbered._rows(numbered.labels >= 0)

    def renamed(self, names: dict[str, str]) -> "FaceDataset":
        """Rename classes. Classes with the same new name are merged.

        Args:
            names: New names by old name. Unknown old names are ignored.
        """
        known = {readable(old): new for old, new in names.items()}
        new = [known.get(readable(label), label) for label in self.classes]
        classes = tuple(dict.fromkeys(new))
        index = np.array([classes.index(label) for label in new], np.int64)
        votes = None
        if self.votes is not None:
            votes = np.zeros((len(self), len(classes)), np.float32)
            for old, target in enumerate(index):
                votes[:, target] += self.votes[:, old]
        return replace(self, labels=index[self.labels], classes=classes, votes=votes)

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Load the images of these rows, uint8 [len(rows), S, S, C]."""
        chosen = self.images[rows]
        return chosen.load() if isinstance(chosen, FileImages) else chosen

    def first_split(self, names: tuple[str, ...]) -> str | None:
        """Return the first of these names that is a split of the data, or None. Spellings are matched."""
        sizes = self.split_sizes
        by_key = {split_key(split): split for split in reversed(sizes)}
        found = (name if name in sizes else by_key.get(split_key(name)) for name in names)
        return next((split for split in found if split is not None), None)

    def held_out(self, train: str, fraction: float, seed: int) -> "FaceDataset":
        """Move a stratified random part of the split `train` to the split `held-out`.

        If the part would be empty, one image of each class that has several is moved.

        Raises:
            DataError: The data has a split of this name already.
        """
        if HELD_OUT in self.split_sizes:
            raise DataError(
                f"{self.name} has a split {HELD_OUT}, the name of a part held out for validation: rename it, "
                f"or validate on it with data: {{validation: [{HELD_OUT}]}} in the recipe"
            )
        rng = np.random.default_rng(seed)
        splits = self.splits.astype(object)
        members = [
            rng.permutation(np.flatnonzero((self.splits == train) & (self.labels == label)))
            for label in range(len(self.classes))
        ]
        counts = [round(len(rows) * fraction) for rows in members]
        if not any(counts):
            counts = [int(len(rows) > 1) for rows in members]
        for rows, count in zip(members, counts, strict=True):
            splits[rows[:count]] = HELD_OUT
        return replace(self, splits=splits.astype(np.str_))

    def stratified(self, count: int, seed: int) -> "FaceDataset":
        """Draw about `count` images, stratified by class, at least one per class."""
        return self._rows(self.stratified_mask(count, seed))

    def stratified_mask(self, count: int, seed: int) -> NDArray[np.bool_]:
        """Return the selection of `stratified`, bool [N]."""
        rng = np.random.default_rng(seed)
        chosen = np.zeros(len(self), bool)
        for label in np.unique(self.labels):
            rows = rng.permutation(np.flatnonzero(self.labels == label))
            chosen[rows[: max(round(count * len(rows) / len(self)), 1)]] = True
        return chosen

    def limited(self, rows_per_split: int) -> "FaceDataset":
        """Draw about `rows_per_split` images of every split, stratified by class, for quick trials."""
        return self._rows(self.limited_mask(rows_per_split))

    def limited_mask(self, rows_per_split: int) -> NDArray[np.bool_]:
        """Return the selection of `limited`, bool [N]."""
        keep = np.zeros(len(self), bool)
        for name in self.split_sizes:
            rows = np.flatnonzero(self.splits == name)
            part = self._rows(self.splits == name)
            keep[rows[part.stratified_mask(rows_per_split, seed=0)]] = True
        return keep

    def _rows(self, chosen: NDArray[np.bool_]) -> "FaceDataset":
        return replace(
            self,
            images=self.images[chosen],
            labels=self.labels[chosen],
            splits=self.splits[chosen],
            votes=None if self.votes is None else self.votes[chosen],
        )
