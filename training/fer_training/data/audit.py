"""What is in a data set: classes a split, exact duplicates, contradicting labels."""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fer_training.data.dataset import FaceDataset


@dataclass(frozen=True)
class Audit:
    """Figures about a data set; duplicates are images with the very same pixels.

    Attributes:
        classes: Images by split and class.
        duplicates_within: By split, images that stand there already.
        duplicates_across: By pair of splits, distinct images that stand in both.
        conflicting: Distinct images that stand there with several labels.
    """

    classes: dict[str, dict[str, int]]
    duplicates_within: dict[str, int]
    duplicates_across: dict[tuple[str, str], int]
    conflicting: int


def audit(data: FaceDataset) -> Audit:
    """Count what is in the data."""
    keys = _keys(data)
    splits = list(data.split_sizes)
    seen = {split: {key for key, own in zip(keys, data.splits, strict=True) if own == split} for split in splits}
    labels: dict[bytes, set[int]] = defaultdict(set)
    for key, label in zip(keys, data.labels.tolist(), strict=True):
        labels[key].add(label)
    return Audit(
        classes={split: class_counts(data.split(split)) for split in splits},
        duplicates_within={split: size - len(seen[split]) for split, size in data.split_sizes.items()},
        duplicates_across={
            (first, second): len(seen[first] & seen[second])
            for number, first in enumerate(splits)
            for second in splits[number + 1 :]
        },
        conflicting=sum(len(found) > 1 for found in labels.values()),
    )


def class_counts(data: FaceDataset) -> dict[str, int]:
    """Images a class, in label order."""
    counts = Counter(data.labels.tolist())
    return {label: counts[index] for index, label in enumerate(data.classes)}


def unseen(validation: FaceDataset, train: FaceDataset) -> NDArray[np.bool_]:
    """Tell which images of `validation` are neither in `train` nor earlier in `validation`: bool [N]."""
    known = set(_keys(train))
    fresh = []
    for key in _keys(validation):
        fresh.append(key not in known)
        known.add(key)
    return np.array(fresh, bool)


def _keys(data: FaceDataset) -> list[bytes]:
    return [hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in data.images]


def print_audit(data: FaceDataset, found: Audit, console: Console) -> None:
    """The figures as tables for people."""
    table = Table("class", *found.classes, title=f"{data.name}: {len(data):,} images")
    for label in data.classes:
        table.add_row(label, *(f"{counts[label]:,}" for counts in found.classes.values()))
    table.add_row("all", *(f"{sum(counts.values()):,}" for counts in found.classes.values()))
    console.print(table)
    for split, count in found.duplicates_within.items():
        console.print(f"{split}: {count:,} images stand there twice")
    for (first, second), count in found.duplicates_across.items():
        console.print(f"{first} and {second}: {count:,} images stand in both")
    console.print(f"{found.conflicting:,} images stand there with several labels")
    console.print(f"{len(data.unreadable):,} files could not be read")
