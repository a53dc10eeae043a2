"""FER-2013 as parquet: one row a picture with `usage`, `emotion` and `image` (an encoded 48×48 picture)."""

from pathlib import Path

import cv2
import numpy as np
import pyarrow
import pyarrow.parquet

from service.inference.bundle import file_sha256
from training.config import FER2013_LABELS
from training.data.dataset import FaceDataset
from training.errors import DataError

_COLUMNS = ["usage", "emotion", "image"]


def read(path: Path) -> FaceDataset:
    """Read the file whole.

    Raises:
        DataError: it is not parquet, lacks a column, or a picture in it cannot be decoded.
    """
    try:
        table = pyarrow.parquet.read_table(path, columns=_COLUMNS)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a parquet file with the columns {', '.join(_COLUMNS)}: {error}") from error
    pictures = []
    for row, data in enumerate(table["image"].to_pylist()):
        picture = cv2.imdecode(np.frombuffer(data or b"\0", np.uint8), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise DataError(f"{path}: the picture in row {row} cannot be decoded")
        pictures.append(picture)
    return FaceDataset(
        name="FER-2013",
        images=np.stack(pictures)[..., None].astype(np.uint8, copy=False),
        labels=np.asarray(table["emotion"].to_pylist(), np.int64),
        splits=np.asarray(table["usage"].to_pylist(), np.str_),
        classes=FER2013_LABELS,
        sha256=file_sha256(path),
    )
