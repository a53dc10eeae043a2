"""Labelled image files to a data set: every file is decoded once, so that training meets no damaged one."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fer_service.system.cores import available_cores
from numpy.typing import NDArray

from fer_training.data.dataset import FaceDataset
from fer_training.data.images import Corners, FileImages, decode_square
from fer_training.data.names import readable
from fer_training.errors import DataError

IN_MEMORY_BYTES = 2 * 2**30
_MOST_THREADS = 8
MAX_CLASSES = 1000


@dataclass(frozen=True)
class LabelledFile:
    """An image file.

    Attributes:
        path: Path of the file.
        split: Name of its split.
        label: Name of its class.
        box: Face as left, top, right, bottom in pixels; None takes the whole image.
    """

    path: Path
    split: str
    label: str
    box: Corners | None = None


def read_files(
    root: Path,
    files: Sequence[LabelledFile],
    size: int,
    in_memory_bytes: int,
    *,
    unreadable: Sequence[str] = (),
    notes: Sequence[str] = (),
    annotations: Sequence[Path] = (),
) -> FaceDataset:
    """Read every image as an RGB square. Files that cannot be decoded are left out and listed.

    Args:
        root: Root folder. Its name is the name of the data set.
        files: The files, in the order of the data set.
        size: Side of the squares in pixels.
        in_memory_bytes: Larger data sets are not kept in memory; each batch reads its files.
        unreadable: Files that were left out before, each with the reason.
        notes: Sentences for the user.
        annotations: Files with labels; they count in the SHA-256.

    Raises:
        DataError: No image can be read, or there are too many classes.
    """
    refuse_many_classes(len({file.label for file in files}), len(files), root)
    streamed = len(files) * size * size * 3 > in_memory_bytes
    images = np.empty((0 if streamed else len(files), size, size, 3), np.uint8)
    digest = hashlib.sha256()
    for annotation in annotations:
        digest.update(annotation.read_bytes())
    kept: list[LabelledFile] = []
    reasons = list(unreadable)
    for file, content, image in _decoded(files, size):
        if isinstance(image, str):
            reasons.append(image)
            continue
        if not streamed:
            images[len(kept)] = image
        digest.update(os.fsencode(file.path.relative_to(root)) + b"\0" + content)
        kept.append(file)
    if not kept:
        raise DataError(f"{readable(str(root))}: no readable images" + (f"; {reasons[-1]}" if reasons else ""))
    classes = tuple(sorted({file.label for file in kept}))
    index = {label: number for number, label in enumerate(classes)}
    boxes = [file.box for file in kept]
    return FaceDataset(
        name=readable(root.resolve().name),
        images=FileImages([file.path for file in kept], size, boxes) if streamed else images[: len(kept)],
        labels=np.array([index[file.label] for file in kept], np.int64),
        splits=np.array([file.split for file in kept], np.str_),
        classes=classes,
        sha256=digest.hexdigest(),
        unreadable=tuple(reasons),
        notes=tuple(notes),
    )


def refuse_many_classes(classes: int, images: int, path: Path) -> None:
    """Refuse names of images or persons that were taken for classes.

    Raises:
        DataError: There are more than `MAX_CLASSES` classes, or fewer than two images per class among many.
    """
    if classes > MAX_CLASSES or (classes > 20 and images < 2 * classes):
        raise DataError(
            f"{readable(str(path))}: {classes:,} classes for {images:,} images. These look like names of images "
            "or persons, not of emotions: give one folder per class, or the column that has the emotion"
        )


def _decoded(
    files: Sequence[LabelledFile], size: int
) -> Iterator[tuple[LabelledFile, bytes, NDArray[np.uint8] | str]]:
    """Yield each file with its content and its image, or the reason why it has none."""

    def read(file: LabelledFile) -> tuple[bytes, NDArray[np.uint8] | str]:
        name = readable(str(file.path))
        try:
            content = file.path.read_bytes()
            return content, decode_square(content, size, name, file.box)
        except OSError as error:
            return b"", f"{name}: {error.strerror or error}"
        except DataError as error:
            return b"", str(error)

    threads = min(available_cores(), _MOST_THREADS)
    with ThreadPoolExecutor(threads) as pool:
        for begin in range(0, len(files), 8 * threads):
            part = files[begin : begin + 8 * threads]
            for file, (content, image) in zip(part, pool.map(read, part), strict=True):
                yield file, content, image
