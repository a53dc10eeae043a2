"""The votes of FER+: in `fer2013new.csv`, a row per image of FER-2013 in the same order; or in lists of images."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_training.data.class_folders import ALL
from fer_training.data.csv_rows import read_rows
from fer_training.data.dataset import FaceDataset
from fer_training.data.image_lists import ListedImage, read_listed
from fer_training.data.names import emotion_key, split_in, split_key
from fer_training.data.table import SPLIT, column_key, open_table
from fer_training.data.tree import File, Tree, refuse_git_lfs_pointer
from fer_training.data.votes import FERPLUS_COLUMNS, FERPLUS_ORDER, normalise_votes
from fer_training.errors import DataError

VOTES_FILE = "fer2013new.csv"
_FIELDS: Final = 2 + len(FERPLUS_ORDER)  # file, box, votes
_EMOTIONS: Final = FERPLUS_ORDER[:8]  # without unknown and NF, not a face


def read_votes(path: Path, splits: Sequence[str], name: str) -> NDArray[np.float32]:
    """Read the shares of the votes, float32 [N, 7], in the order of FER-2013's labels.

    Args:
        path: The file with the votes.
        splits: Split of each of the N images. If the file has rows of other splits too, these are left out.
        name: Name of the file with the images, for messages.

    Raises:
        DataError: The rows do not belong to the images, or are invalid.
    """
    table = open_table(path)
    rows = [row for _, row in table.rows()]
    if SPLIT in table.columns:
        column = table.columns[SPLIT]
        keys = [_key(row[column]) if column < len(row) else "" for row in rows]
        wanted = {_key(split) for split in splits}
        if len(rows) > len(splits) and wanted <= set(keys):
            kept = [number for number, key in enumerate(keys) if key in wanted]
            rows, keys = [rows[number] for number in kept], [keys[number] for number in kept]
        if len(rows) == len(splits) and wanted <= set(keys) and keys != [_key(split) for split in splits]:
            raise DataError(f"{path}: the rows are of other images than {name}: column Usage differs")
    if len(rows) != len(splits):
        raise DataError(
            f"{path} has {len(rows)} rows, but {name} has {len(splits)}: "
            "remove the file, or use the one of the same images"
        )
    missing = [column for column in FERPLUS_COLUMNS if column_key(column) not in table.names]
    if missing:
        raise DataError(f"{path}: invalid FER+ votes: missing column {', '.join(missing)}")
    try:
        columns = [table.names.index(column_key(column)) for column in FERPLUS_COLUMNS]
        counts = np.array([[float(row[column]) for column in columns] for row in rows])
    except (IndexError, ValueError) as error:
        raise DataError(f"{path}: invalid FER+ votes: {error!r}") from error
    return normalise_votes(counts)


def _key(split: str) -> str:
    key = split_key(split)
    return "train" if key == "training" else key


def read_ferplus(tree: Tree, size: int, in_memory_bytes: int) -> FaceDataset | None:
    """Read the folders that FER+'s own program writes: `FER2013Train/label.csv` and its images, and others.

    The class is the emotion with most votes. Images that most found no face or unknown, and ties, are left out.

    Returns:
        The data set, or None if there are no such folders.

    Raises:
        DataError: A list is invalid, or its images are missing.
    """
    name = tree.root.resolve().name
    sizes = Counter(file.folders for file in tree.files)
    lists = {  # a clone of FER+ has the lists without the images
        file: folder
        for file in tree.files
        if file.name.casefold() == "label.csv"
        and sizes[file.folders] > 1
        and (folder := [name, *file.folders][-1]).casefold().startswith("fer2013")
    }
    if not lists:
        return None
    rows = [row for file, folder in lists.items() for row in _listed(file, split_in(folder) or ALL)]
    notes = ["FER+: the class is the emotion with most votes"]
    paths = [file.path for file in lists]
    return read_listed(tree.root, rows, paths, size, in_memory_bytes, notes=notes, tree=tree)


def _listed(file: File, split: str) -> Iterator[ListedImage]:
    try:
        refuse_git_lfs_pointer(file.path)
        lines = file.path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file.place}: cannot be read as text: {error}") from error
    for number, fields in read_rows(lines, file.place):
        if not fields:
            continue
        try:
            votes = [float(field) for field in fields[2:]]
        except ValueError:
            votes = []
        if len(fields) != _FIELDS or len(votes) != len(FERPLUS_ORDER):
            raise DataError(f"{file.place}, line {number}: not a file name, a box and {len(FERPLUS_ORDER)} votes")
        most = [name for name, count in zip(FERPLUS_ORDER, votes, strict=True) if count == max(votes)]
        label = emotion_key(most[0]) if len(most) == 1 and most[0] in _EMOTIONS else ""
        yield ListedImage("/".join((*file.folders, fields[0])), label, split, source=file.place)
