"""FER-2013 as parquet: one row a picture with `usage`, `emotion` and `image` (an encoded 48×48 picture).

A column `ferplus_votes` may hold the counts of FER+ (Barsoum et al. 2016, arXiv:1608.01041): neutral, happiness,
surprise, sadness, anger, disgust, fear, contempt, unknown, not a face.
"""

from pathlib import Path

import cv2
import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from service.inference.bundle import file_sha256
from training.config import FER2013_LABELS
from training.data.dataset import FaceDataset, normalised
from training.errors import DataError

_COLUMNS = ["usage", "emotion", "image"]
_VOTES = "ferplus_votes"
# Where FER-2013's labels stand among FER+'s; contempt, unknown and not-a-face have no counterpart.
_VOTE_COLUMNS = [4, 5, 6, 1, 3, 2, 0]


def read(path: Path) -> FaceDataset:
    """Read the file whole.

    Raises:
        DataError: it is not parquet, lacks a column, or a picture in it cannot be decoded.
    """
    try:
        has_votes = _VOTES in pyarrow.parquet.read_schema(path).names
        table = pyarrow.parquet.read_table(path, columns=[*_COLUMNS, _VOTES] if has_votes else _COLUMNS)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a parquet file with the columns {', '.join(_COLUMNS)}: {error}") from error
    columns = {name: table[name].to_pylist() for name in _COLUMNS}
    for row, (split, label) in enumerate(zip(columns["usage"], columns["emotion"], strict=True)):
        if label not in range(len(FER2013_LABELS)):
            raise DataError(f"{path}, row {row}: there is no emotion {label}")
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
    pictures: list[NDArray[np.uint8]] = []
    for row, data in enumerate(encoded):
        picture = cv2.imdecode(np.frombuffer(data or b"\0", np.uint8), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise DataError(f"{path}, row {row}: the picture cannot be decoded")
        if pictures and picture.shape != pictures[0].shape:
            raise DataError(f"{path}, row {row}: the picture is {picture.shape}, the first is {pictures[0].shape}")
        pictures.append(picture.astype(np.uint8, copy=False))
    if not pictures:
        raise DataError(f"{path}: holds no picture")
    return np.stack(pictures)[..., None]


def _votes(rows: list[list[int] | None]) -> NDArray[np.float32]:
    counts = np.array([row or [0] * 10 for row in rows], np.float64)
    return normalised(counts[:, _VOTE_COLUMNS])
