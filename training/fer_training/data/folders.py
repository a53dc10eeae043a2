"""One folder per class: `ROOT/<class>/…`, or `ROOT/<split>/<class>/…` with splits such as train and test.

One more folder above the splits, like Kaggle's `images/`, is skipped.
"""

import hashlib
from pathlib import Path

import numpy as np
from fer_service.contract.errors import RequestError
from fer_service.imaging.encoded import open_image
from numpy.typing import NDArray

from fer_training.data.dataset import FaceDataset
from fer_training.data.images import MAX_PIXELS, FileImages, read_square
from fer_training.errors import DataError

ALL = "all"
IN_MEMORY_BYTES = 2 * 2**30
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def read(root: Path, size: int, in_memory_bytes: int = IN_MEMORY_BYTES) -> FaceDataset:
    """Read every image as an RGB square. Unreadable images are skipped and listed in `unreadable`.

    Args:
        root: Root folder.
        size: Side of the square in pixels. Other shapes are padded by repeating the border, as in the service.
        in_memory_bytes: Larger data sets are not kept in memory; each batch reads its files.

    Raises:
        DataError: The folder has no readable image in this layout.
    """
    files = _files(root)
    digest = hashlib.sha256()
    streamed = len(files) * size * size * 3 > in_memory_bytes
    images: list[NDArray[np.uint8]] = []
    kept: list[tuple[str, str, Path]] = []
    unreadable = []
    for split, label, path in files:
        try:
            content = path.read_bytes()
            if streamed:
                open_image(content, MAX_PIXELS)
            else:
                images.append(read_square(path, size))
        except (OSError, RequestError, DataError) as error:
            reason = str(error) if isinstance(error, DataError) else f"{path}: {error}"
            unreadable.append(reason)
            continue
        digest.update(str(path.relative_to(root)).encode() + b"\0" + content)
        kept.append((split, label, path))
    if not kept:
        raise DataError(
            f"{root}: no readable images as <class>/NAME.png or <split>/<class>/NAME.png"
            + (f"; {unreadable[0]}" if unreadable else "")
        )
    classes = tuple(sorted({label for _, label, _ in kept}))
    return FaceDataset(
        name=root.resolve().name,
        images=FileImages([path for _, _, path in kept], size) if streamed else np.stack(images),
        labels=np.array([classes.index(label) for _, label, _ in kept], np.int64),
        splits=np.array([split for split, _, _ in kept], np.str_),
        classes=classes,
        sha256=digest.hexdigest(),
        unreadable=tuple(unreadable),
    )


def _files(root: Path) -> list[tuple[str, str, Path]]:
    """Return (split, class, file) of every image, sorted by path."""
    top = _without_wrappers(root)
    found = []
    for path in sorted(top.rglob("*")):
        parts = path.relative_to(top).parts
        if path.suffix.lower() in _SUFFIXES and path.is_file() and len(parts) in (2, 3):
            split = parts[0] if len(parts) == 3 else ALL
            found.append((split, parts[-2], path))
    return found


def _without_wrappers(root: Path) -> Path:
    """Return the folder that has the split folders: `ROOT/images` for `ROOT/images/<split>/<class>/`."""
    below = _folders(root)
    if len(below) == 1 and any(_folders(folder) for folder in _folders(below[0])):
        return _without_wrappers(below[0])
    return root


def _folders(path: Path) -> list[Path]:
    return [entry for entry in path.iterdir() if entry.is_dir()]
