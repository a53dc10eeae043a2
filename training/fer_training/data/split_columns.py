"""Columns that say the split of a row by true and false, as `is_train` does. Numbers of folds say none."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from fer_training.data.names import TEST, TRAIN, split_key, split_name

_TRUE: Final = {"1", "1.0", "true", "yes"}
_FALSE: Final = {"0", "0.0", "false", "no"}
_FOLDS: Final = {"fold", "folds", "kfold", "cvfold", "foldid", "foldnumber"}


def flagged_split(column: str) -> str | None:
    """Return the split that a column of true and false names, or None: `is_train` is `train`."""
    name = re.sub(r"^is[\W_]*", "", column.strip(), flags=re.IGNORECASE)
    # A column `valid` says of most data that the image is good.
    return None if column.strip().casefold() == "valid" else split_name(name)


def is_flag(value: object) -> bool:
    """Return True for true and false, and for 1 and 0."""
    return _text(value) in _TRUE | _FALSE


def split_by_flags(flags: Mapping[str, object]) -> str:
    """Return the split of a row: that of the true column.

    If none is true, it is `test`, or `train` if no column is for that.

    Args:
        flags: Values by column.

    Raises:
        ValueError: A value is neither true nor false, or several are true.
    """
    for column, value in flags.items():
        if not is_flag(value):
            raise ValueError(f"column {column} must be true or false, not {str(value)[:60]!r}")
    splits = {flagged_split(column) or "": _text(value) in _TRUE for column, value in flags.items()}
    chosen = [split for split, value in splits.items() if value]
    if len(chosen) > 1:
        raise ValueError(f"columns {' and '.join(flags)} are both true")
    return chosen[0] if chosen else _otherwise(splits)


def split_notes(flags: Iterable[str], columns: Iterable[str], *, has_split: bool) -> list[str]:
    """Say how columns of true and false are read as splits, and that folds are not.

    Args:
        flags: Columns of true and false.
        columns: Names of all columns.
        has_split: A column says the split.
    """
    named = {column: flagged_split(column) or "" for column in flags}
    if named:
        said = ", ".join(f"{column} is {split}" for column, split in named.items())
        return [f"splits by columns of true and false: {said}, all others are {_otherwise(named.values())}"]
    folds = [column for column in columns if re.sub(r"[\W_]+", "", column.casefold()) in _FOLDS]
    if has_split or not folds:
        return []
    return [
        f"column {folds[0]} is not read, because a training has no cross-validation: write train, validation and "
        "test into a column split to choose the folds"
    ]


def _otherwise(splits: Iterable[str]) -> str:
    return TEST if any(split_key(split) in {TRAIN, "training"} for split in splits) else TRAIN


def _text(value: object) -> str:
    return str(value).strip().casefold()
