"""The votes of FER+ in `fer2013new.csv`: one row per image of FER-2013, in the same order."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_training.data.names import split_key
from fer_training.data.table import SPLIT, column_key, open_table
from fer_training.data.votes import FERPLUS_COLUMNS, normalise_votes
from fer_training.errors import DataError

VOTES_FILE = "fer2013new.csv"


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
