"""The challenge's file `fer2013.csv`, with the columns emotion, pixels (2,304 grey levels) and Usage.

FER+ votes are read from `fer2013new.csv` in the same folder, if it exists. Its rows have the same order.
"""

import csv
import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from fer_service.contract.bundle import file_sha256

from fer_training.data.dataset import FaceDataset
from fer_training.data.labels import FER2013_LABELS
from fer_training.data.votes import FERPLUS_COLUMNS, normalise_votes
from fer_training.errors import DataError

VOTES_FILE = "fer2013new.csv"
_SIDE = 48


def read(path: Path) -> FaceDataset:
    """Read the file.

    Raises:
        DataError: A column is missing, or a line is invalid.
    """
    csv.field_size_limit(sys.maxsize)
    try:
        faces = _read(path)
        votes_file = path.with_name(VOTES_FILE)
        return _with_votes(faces, votes_file) if votes_file.exists() else faces
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a UTF-8 text file: {error}") from error


def _read(path: Path) -> FaceDataset:
    images, labels, splits = [], [], []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = {"emotion", "pixels", "Usage"} - set(reader.fieldnames or ())
        if missing:
            raise DataError(f"{path}: missing column {', '.join(sorted(missing))}")
        for row in reader:
            try:
                label = int(row["emotion"])
                pixels = np.array(row["pixels"].split(), np.uint8).reshape(_SIDE, _SIDE, 1)
            except (ValueError, OverflowError, AttributeError) as error:
                raise DataError(f"{path}, line {reader.line_num}: {error}") from error
            if not 0 <= label < len(FER2013_LABELS):
                raise DataError(f"{path}, line {reader.line_num}: invalid emotion {label}, must be 0 to 6")
            if not row["Usage"]:
                raise DataError(f"{path}, line {reader.line_num}: Usage is empty")
            images.append(pixels)
            labels.append(label)
            splits.append(row["Usage"])
    if not images:
        raise DataError(f"{path}: no images")
    return FaceDataset(
        name="FER-2013",
        images=np.stack(images),
        labels=np.asarray(labels, np.int64),
        splits=np.asarray(splits, np.str_),
        classes=FER2013_LABELS,
        sha256=file_sha256(path),
    )


def _with_votes(faces: FaceDataset, path: Path) -> FaceDataset:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != len(faces):
        raise DataError(
            f"{path} has {len(rows)} rows, but fer2013.csv has {len(faces)}: "
            "remove the file, or use the one of the same images"
        )
    try:
        counts = np.array([[float(row[column]) for column in FERPLUS_COLUMNS] for row in rows])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: invalid FER+ votes: {error!r}") from error
    both = hashlib.sha256((faces.sha256 + file_sha256(path)).encode()).hexdigest()
    return replace(faces, votes=normalise_votes(counts), sha256=both)
