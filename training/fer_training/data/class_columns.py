"""Lists with one column per class: 0 and 1, as Roboflow's `_classes.csv`, or votes, as `fer2013new.csv` has."""

import math
from collections.abc import Sequence
from typing import Final

from fer_training.data.names import is_emotion
from fer_training.data.table import FILE, LABEL, SPLIT, Table, column_key

_ZERO: Final = {"0", "0.0", "false", ""}
_ONE: Final = {"1", "1.0", "true"}
_ABSTAINED: Final = {"unknown", "nf", "notface", "noface", "unlabeled", "unlabelled", "uncertain"}
_TRUTH: Final = {**dict.fromkeys(_ZERO, 0.0), **dict.fromkeys(_ONE, 1.0)}


def class_columns(table: Table) -> dict[str, int]:
    """Return the positions of the columns by class; empty if the list is none with one column per class.

    Such columns hold one 1 per row and zeros, or are named after emotions.

    Raises:
        DataError: The file is not text, or not CSV.
    """
    if FILE not in table.columns or LABEL in table.columns:
        return {}
    used = {table.columns[FILE], table.columns.get(SPLIT), *table.flags}
    others = {title: number for number, title in enumerate(table.titles) if title and number not in used}
    if len(others) > 1 and _is_one_hot(table, list(others.values())):
        return {title: number for title, number in others.items() if column_key(title) not in _ABSTAINED}
    emotions = {title: number for title, number in others.items() if is_emotion(title)}
    return emotions if len(emotions) > 1 else {}


def largest_class(fields: Sequence[str], columns: dict[str, int], table: Table) -> str:
    """Return the class with the largest value; empty if there are several, or if most abstained.

    Args:
        fields: The row.
        columns: Result of `class_columns`.
        table: Its table, which may have further columns such as `unknown`.

    Raises:
        ValueError: A value is not a number.
        IndexError: A field is missing.
    """
    values = {name: _number(fields[number]) for name, number in columns.items()}
    most = max(values.values())
    abstained = [_number(fields[number]) for number, name in enumerate(table.names) if name in _ABSTAINED]
    found = [name for name, value in values.items() if value == most]
    return found[0] if len(found) == 1 and most > max(abstained, default=0) and most > 0 else ""


def _is_one_hot(table: Table, numbers: Sequence[int]) -> bool:
    total = clear = 0
    for _, fields in table.rows():
        if len(fields) <= max(numbers):
            return False
        values = [fields[number].strip().lower() for number in numbers]
        ones = sum(value in _ONE for value in values)
        if ones > 1 or not all(value in _TRUTH for value in values):
            return False
        total += 1
        clear += ones
    return clear * 2 > total


def _number(text: str) -> float:
    value = text.strip().lower()
    found = _TRUTH[value] if value in _TRUTH else float(value)
    return 0.0 if math.isnan(found) else found
