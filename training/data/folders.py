"""One folder a class: `ROOT/<class>/…`, or `ROOT/<split>/<class>/…` with splits such as train and test."""

import hashlib
from pathlib import Path

import numpy as np

from service.errors import RequestError
from service.imaging.decode import decode, read_header
from training.data.dataset import FaceDataset, resized
from training.errors import DataError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
_MAX_PIXELS = 100_000_000
ALL = "all"


def read(root: Path, size: int) -> FaceDataset:
    """Read every picture, as a square of `size` pixels, RGB.

    Args:
        root: The folder.
        size: Side in pixels; a picture that is not square is padded by repeating its border, as when served.

    Raises:
        DataError: there is no picture in this layout, or one cannot be read.
    """
    files = _files(root)
    if not files:
        raise DataError(f"{root}: no pictures as <class>/NAME.png or <split>/<class>/NAME.png")
    classes = tuple(sorted({label for _, label, _ in files}))
    digest = hashlib.sha256()
    images = np.empty((len(files), size, size, 3), np.uint8)
    for row, (_, _, path) in enumerate(files):
        content = path.read_bytes()
        digest.update(str(path.relative_to(root)).encode() + b"\0" + content)
        try:
            pixels = decode(content, read_header(content, _MAX_PIXELS))
        except RequestError as error:
            raise DataError(f"{path}: {error}") from error
        images[row] = resized(pixels, size)
    return FaceDataset(
        name=root.resolve().name,
        images=images,
        labels=np.array([classes.index(label) for _, label, _ in files], np.int64),
        splits=np.array([split for split, _, _ in files], np.str_),
        classes=classes,
        sha256=digest.hexdigest(),
    )


def _files(root: Path) -> list[tuple[str, str, Path]]:
    """(split, class, file) of every picture, sorted."""
    found = []
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.suffix.lower() in _SUFFIXES and path.is_file() and len(parts) in (2, 3):
            split = parts[0] if len(parts) == 3 else ALL
            found.append((split, parts[-2], path))
    return found
