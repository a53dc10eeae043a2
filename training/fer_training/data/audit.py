"""Data audit: classes per split, exact duplicates, conflicting labels."""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from fer_service.contract.text import printable
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fer_training.data.class_folders import ALL
from fer_training.data.dataset import FaceDataset

_ROWS = 25
_BATCH = 256


@dataclass(frozen=True)
class Audit:
    """Counts of a data set. Duplicates are images with identical pixels.

    Attributes:
        classes: Images by split and class.
        duplicates_within: Duplicates by split, not counting the first image.
        duplicates_across: Distinct images in both splits, by pair of splits.
        conflicting: Distinct images with several labels.
    """

    classes: dict[str, dict[str, int]]
    duplicates_within: dict[str, int]
    duplicates_across: dict[tuple[str, str], int]
    conflicting: int


def audit(data: FaceDataset) -> Audit:
    """Count classes, duplicates and conflicting labels."""
    keys = image_keys(data)
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
    """Return the number of images per class, in label order."""
    counts = Counter(data.labels.tolist())
    return {label: counts[index] for index, label in enumerate(data.classes)}


def unseen_mask(validation: FaceDataset, train: FaceDataset) -> NDArray[np.bool_]:
    """Return bool [N]: True for validation images that are neither in `train` nor earlier in `validation`."""
    known = set(image_keys(train))
    fresh = []
    for key in image_keys(validation):
        fresh.append(key not in known)
        known.add(key)
    return np.array(fresh, bool)


def image_keys(data: FaceDataset) -> list[bytes]:
    """Return a hash of the pixels of each image."""
    keys = []
    for begin in range(0, len(data), _BATCH):
        for image in data.pixels(np.arange(begin, min(begin + _BATCH, len(data)))):
            keys.append(hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest())  # noqa: PERF401
    return keys


def print_audit(data: FaceDataset, found: Audit, console: Console) -> None:
    """Print the counts as tables."""
    # Data without splits has one that is named `all`.
    heads = ["images" if split == ALL else split for split in found.classes]
    table = Table("class", *map(escape, heads), title=f"{escape(printable(data.name))}: {len(data):,} images")
    for label in data.classes[:_ROWS]:
        table.add_row(escape(printable(label)), *(f"{counts[label]:,}" for counts in found.classes.values()))
    if len(data.classes) > _ROWS:
        rest = data.classes[_ROWS:]
        sums = (sum(counts[label] for label in rest) for counts in found.classes.values())
        table.add_row(f"{len(rest):,} more classes", *(f"{count:,}" for count in sums))
    table.add_row("all", *(f"{sum(counts.values()):,}" for counts in found.classes.values()))
    console.print(table)
    for split, count in found.duplicates_within.items():
        console.print(f"duplicate images{'' if split == ALL else f' in {escape(split)}'}: {count:,}")
    for (first, second), count in found.duplicates_across.items():
        console.print(f"images in both {escape(first)} and {escape(second)}: {count:,}")
    console.print(f"images with conflicting labels: {found.conflicting:,}")
    console.print(f"unreadable files: {len(data.unreadable):,}")
