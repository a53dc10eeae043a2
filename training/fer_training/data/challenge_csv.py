"""Files with pixels as text: `fer2013.csv` and `icml_face_data.csv` of the challenge, `ckextended.csv` of CK+.

The columns are emotion, pixels (grey levels of a square) and Usage. Without Usage, the name of the file gives the
split. FER+ votes are read from `fer2013new.csv` in the same folder, if it exists. Its rows have the same order.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from math import isqrt
from pathlib import Path

import numpy as np
from fer_service.system.files import file_sha256
from numpy.typing import NDArray

from fer_training.data.class_folders import ALL
from fer_training.data.dataset import FaceDataset
from fer_training.data.ferplus import VOTES_FILE, read_votes
from fer_training.data.labels import FER2013, FER2013_LABELS, check_counted_from_zero
from fer_training.data.names import emotion_key, is_emotion, is_missing, readable, split_in, split_name
from fer_training.data.table import LABEL, PIXELS, SPLIT, Table, open_table
from fer_training.errors import DataError

_CONTEMPT = len(FER2013_LABELS)
_CLASSES = (*FER2013_LABELS, "contempt")
_SHOWN = 8  # columns in a message
_NO_SEPARATORS = str.maketrans("[](),;", "      ")


def read(path: Path) -> FaceDataset:
    """Read the file.

    Raises:
        DataError: A column is missing, or a line is invalid.
    """
    return read_several([path])


def has_pixels(table: Table) -> bool:
    """Return True if the file has pixels as text."""
    return PIXELS in table.columns or bool(table.pixel_columns)


def read_several(paths: Sequence[Path]) -> FaceDataset:
    """Read files of the same form as one data set, for example train.csv and val.csv.

    Raises:
        DataError: A column is missing, a line is invalid, or the images differ in size.
    """
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    splits: list[str] = []
    said: list[str] = []
    votes_file = next((file for file in paths[0].parent.iterdir() if file.name.casefold() == VOTES_FILE), None)
    for path in paths:
        # The votes belong to rows by their numbers, so none may be left out.
        said += _read_into(path, images, labels, splits, leaves_out=votes_file is None)
    contempt = labels.count(_CONTEMPT)
    check_counted_from_zero(set(labels), str(paths[0]))
    notes = list(dict.fromkeys(said))
    if contempt:
        notes.append(f"emotion {_CONTEMPT} is read as contempt, as in CK+ ({contempt:,} images)")
    hashes = [file_sha256(path) for path in paths]
    faces = FaceDataset(
        name="CK+" if contempt or paths[0].name.casefold().startswith("ck") else FER2013,
        images=np.stack(images),
        labels=np.asarray(labels, np.int64),
        splits=np.asarray(splits, np.str_),
        classes=_CLASSES if contempt else FER2013_LABELS,
        sha256=hashes[0] if len(paths) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest(),
        notes=tuple(notes),
    )
    return faces if votes_file is None or contempt else _with_votes(faces, votes_file, paths[0].name)


def _read_into(
    path: Path, images: list[NDArray[np.uint8]], labels: list[int], splits: list[str], *, leaves_out: bool
) -> list[str]:
    """Add the rows of a file, if `leaves_out` without those that have no label; return what to say about it."""
    table = open_table(path)
    _check_columns(table)
    own_split = split_in(path.name.split(".")[0]) or ALL
    count, unlabelled = len(images), 0
    for line, row in table.rows():
        try:
            if leaves_out and is_missing(row[table.columns[LABEL]]) and row[table.columns[LABEL]].strip() != "-1":
                unlabelled += 1
                continue
            label, pixels = _label(row[table.columns[LABEL]]), _pixels(row, table)
            split = table.split_of(row) if SPLIT in table.columns else own_split
            if images and pixels.shape != images[0].shape:
                raise ValueError(f"the image has {pixels.size:,} pixels, the first one {images[0].size:,}")
        except (ValueError, OverflowError, IndexError) as error:
            raise DataError(f"{path}, line {line}: {error}") from error
        if not split:
            raise DataError(f"{path}, line {line}: Usage is empty")
        images.append(pixels)
        labels.append(label)
        splits.append(split_name(split) or readable(split))
    if len(images) == count:
        raise DataError(f"{path}: no images")
    left_out = [f"{unlabelled:,} rows without a label left out"] if unlabelled else []
    return [*left_out, *table.split_notes()]


def _check_columns(table: Table) -> None:
    missing = [LABEL] * (LABEL not in table.columns) + [PIXELS] * (not has_pixels(table))
    if not missing:
        return
    if {"neutral", "happiness", "contempt"} <= set(table.names):
        raise DataError(
            f"{table.path} has the votes of FER+, but no images: give the fer2013.csv in the same folder"
        )
    one_hot = [name for name in table.names if is_emotion(name)]
    way_out = f"; the file has the columns {', '.join(table.titles[:_SHOWN])}" if table.titles else ""
    if len(one_hot) > 2:
        way_out = f". Write the names of the columns {', '.join(one_hot[:3])}, … into one column, emotion"
    raise DataError(f"{table.path}: missing column {', '.join(missing)}{way_out}")


def _label(value: str) -> int:
    text = value.strip()
    if emotion_key(text) in _CLASSES:
        return _CLASSES.index(emotion_key(text))
    try:
        label = int(float(text))
        whole = label == float(text)
    except (ValueError, OverflowError):
        whole, label = False, -1
    if not whole or not 0 <= label <= _CONTEMPT:
        raise ValueError(f"invalid emotion {text[:60]}, must be 0 to 6, or 7 for contempt")
    return label


def _pixels(row: list[str], table: Table) -> NDArray[np.uint8]:
    if table.pixel_columns:
        values = [row[column] for column in table.pixel_columns]
    else:
        values = row[table.columns[PIXELS]].translate(_NO_SEPARATORS).split()
    if not values:
        raise ValueError("the image has no pixels")
    side = isqrt(len(values))
    if any("." in value for value in values):
        values = [_whole(value) for value in values]
    if side * side != len(values):
        raise ValueError(f"{len(values):,} pixels are not a square grey image; 48×48 has 2,304")
    try:
        return np.array(values, np.uint8).reshape(side, side, 1)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"invalid grey level, must be a whole number from 0 to 255: {error}") from error


def _whole(value: str) -> str:
    if not float(value).is_integer():
        raise ValueError(f"invalid grey level {value}, must be a whole number from 0 to 255")
    return str(int(float(value)))


def _with_votes(faces: FaceDataset, path: Path, name: str) -> FaceDataset:
    votes = read_votes(path, faces.splits.tolist(), name)
    both = hashlib.sha256((faces.sha256 + file_sha256(path)).encode()).hexdigest()
    note = f"{readable(path.name)}: the votes of ten people per image are used"
    return replace(faces, votes=votes, sha256=both, notes=(*faces.notes, note))
