"""FER-2013 as parquet: one row per image with `usage`, `emotion` and `image` (an encoded 48×48 image).

The optional column `ferplus_votes` has the ten vote counts of FER+. `hugging_face` reads other parquet files.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow
import pyarrow.parquet
from fer_service.contract.errors import RequestError
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image
from fer_service.system.files import file_sha256
from numpy.typing import NDArray

from fer_training.data.columns import class_names
from fer_training.data.dataset import FaceDataset
from fer_training.data.labels import FER2013, FER2013_LABELS, check_counted_from_zero
from fer_training.data.names import split_name
from fer_training.data.votes import FERPLUS_COLUMNS, FERPLUS_ORDER, normalise_votes
from fer_training.errors import DataError

_COLUMNS = ["usage", "emotion", "image"]
_VOTES = "ferplus_votes"
_SIDE = 48
_MAX_PIXELS = 1_000_000  # a larger image is none of FER-2013
_FIRST = 64  # rows, one of which should have an image that can be decoded


def is_fer_2013(path: Path) -> bool:
    """Return True if the file has the columns of FER-2013, and the first readable image has its size.

    Raises:
        DataError: The file is not parquet.
    """
    try:
        schema = pyarrow.parquet.read_schema(path)
        if not set(_COLUMNS) <= set(schema.names) or class_names(schema, "emotion"):
            return False
        with pyarrow.parquet.ParquetFile(path) as file:
            batch = next(file.iter_batches(batch_size=_FIRST, columns=["image", "emotion"]), None)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a parquet file: {error}") from error
    rows = batch.to_pylist() if batch is not None else []
    image = next((image for row in rows if (image := _grey(row["image"])) is not None), None)
    return image is not None and image.shape == (_SIDE, _SIDE) and isinstance(rows[0]["emotion"], int)


def read(path: Path) -> FaceDataset:
    """Read the file. Images that cannot be decoded are left out and listed.

    Raises:
        DataError: The file is not parquet, lacks a column, has an invalid row, or has no image.
    """
    try:
        has_votes = _VOTES in pyarrow.parquet.read_schema(path).names
        table = pyarrow.parquet.read_table(path, columns=[*_COLUMNS, _VOTES] if has_votes else _COLUMNS)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a parquet file with the columns {', '.join(_COLUMNS)}: {error}") from error
    columns = {name: table[name].to_pylist() for name in _COLUMNS}
    for row, (split, label) in enumerate(zip(columns["usage"], columns["emotion"], strict=True)):
        if label not in range(len(FER2013_LABELS)):
            raise DataError(f"{path}, row {row}: invalid emotion {label}, must be 0 to 6")
        if split is None or not str(split).strip():
            raise DataError(f"{path}, row {row}: usage is empty")
    check_counted_from_zero(set(columns["emotion"]), str(path))
    images = _decoded(columns["image"], path)
    rows = list(images)
    missing = [row for row in range(len(columns["image"])) if row not in images]
    return FaceDataset(
        name=FER2013,
        images=np.stack(list(images.values()))[..., None],
        labels=np.asarray(columns["emotion"], np.int64)[rows],
        splits=np.asarray([split_name(str(usage)) or str(usage) for usage in columns["usage"]], np.str_)[rows],
        classes=FER2013_LABELS,
        sha256=file_sha256(path),
        votes=_votes(table[_VOTES].to_pylist())[rows] if has_votes else None,
        unreadable=tuple(f"{path.name}, row {row}: cannot decode the image" for row in missing),
    )


def _grey(cell: Any) -> NDArray[np.uint8] | None:
    """Decode the bytes of a cell, or of {bytes, path}, to grey levels."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(data, bytes):
        return None
    try:
        image = open_image(data, _MAX_PIXELS)
        pixels = decode(image.data, image.header)
    except RequestError:
        return None
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)


def _decoded(encoded: list[Any], path: Path) -> dict[int, NDArray[np.uint8]]:
    """Return the images that can be decoded, by row."""
    images = {row: image for row, cell in enumerate(encoded) if (image := _grey(cell)) is not None}
    if not images:
        raise DataError(f"{path}: no images" + " that can be decoded" * bool(encoded))
    first = next(iter(images.values()))
    for row, image in images.items():
        if image.shape != first.shape:
            raise DataError(
                f"{path}, row {row}: image shape {image.shape} differs from the first image, {first.shape}"
            )
    return images


def _votes(rows: list[list[int] | None]) -> NDArray[np.float32]:
    no_votes = [0] * len(FERPLUS_ORDER)
    try:
        counts = np.array([row or no_votes for row in rows], np.float64).reshape(len(rows), len(FERPLUS_ORDER))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{_VOTES} must be {len(FERPLUS_ORDER)} counts per row: {', '.join(FERPLUS_ORDER)}"
        ) from error
    return normalise_votes(counts[:, [FERPLUS_ORDER.index(column) for column in FERPLUS_COLUMNS]])
