"""FER-2013 as parquet: one row per image with `usage`, `emotion` and `image` (an encoded 48×48 image).

The optional column `ferplus_votes` has the ten vote counts of FER+.
"""

from pathlib import Path

import cv2
import numpy as np
import pyarrow
import pyarrow.parquet
from fer_service.contract.bundle import file_sha256
from numpy.typing import NDArray

from fer_training.data.dataset import FaceDataset
from fer_training.data.labels import FER2013_LABELS
from fer_training.data.votes import FERPLUS_COLUMNS, FERPLUS_ORDER, normalise_votes
from fer_training.errors import DataError

_COLUMNS = ["usage", "emotion", "image"]
_VOTES = "ferplus_votes"


def read(path: Path) -> FaceDataset:
    """Read the file.

    Raises:
        DataError: The file is not parquet, lacks a column, or has an invalid row.
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
        if not split:
            raise DataError(f"{path}, row {row}: usage is empty")
    return FaceDataset(
        name="FER-2013",
        images=_decoded(columns["image"], path),
        labels=np.asarray(columns["emotion"], np.int64),
        splits=np.asarray(columns["usage"], np.str_),
        classes=FER2013_LABELS,
        sha256=file_sha256(path),
        votes=_votes(table[_VOTES].to_pylist()) if has_votes else None,
    )


def _decoded(encoded: list[bytes | None], path: Path) -> NDArray[np.uint8]:
    images: list[NDArray[np.uint8]] = []
    for row, data in enumerate(encoded):
        image = cv2.imdecode(np.frombuffer(data or b"\0", np.uint8), cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise DataError(f"{path}, row {row}: cannot decode the image")
        if images and image.shape != images[0].shape:
            raise DataError(
                f"{path}, row {row}: image shape {image.shape} differs from the first image, {images[0].shape}"
            )
        images.append(image.astype(np.uint8, copy=False))
    if not images:
        raise DataError(f"{path}: no images")
    return np.stack(images)[..., None]


def _votes(rows: list[list[int] | None]) -> NDArray[np.float32]:
    no_votes = [0] * len(FERPLUS_ORDER)
    try:
        counts = np.array([row or no_votes for row in rows], np.float64).reshape(len(rows), len(FERPLUS_ORDER))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{_VOTES} must be {len(FERPLUS_ORDER)} counts per row: {', '.join(FERPLUS_ORDER)}"
        ) from error
    return normalise_votes(counts[:, [FERPLUS_ORDER.index(column) for column in FERPLUS_COLUMNS]])
