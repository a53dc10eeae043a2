"""Lists with one column per class: 0 and 1, as Roboflow's `_classes.csv`, or votes, as `fer2013new.csv` has."""

from collections.abc import Sequence
from typing import Final

from fer_training.data.names import is_emotion
from fer_training.data.table import FILE, LABEL, SPLIT, Table

_ZERO: Final = {"0", "0.0", "false", ""}
_ONE: Final = {"1", "1.0", "true"}
_TRUTH: Final = {**dict.fromkeys(_ZERO, 0.0), **dict.fromkeys(_ONE, 1.0)}


def class_columns(table: Table) -> dict[str, int]:
    """Return the positions of the columns by class; empty if the list is none with one column per class.

    Such columns are named after emotions, or hold 0 and 1, with one 1 in most rows.

    Raises:
        DataError: The file is not text, or not CSV.
    """
    if FILE not in table.columns or LABEL in table.columns:
        return {}
    used = {table.columns[FILE], table.columns.get(SPLIT)}
    others = {name: number for number, name in enumerate(table.names) if name and number not in used}
    emotions = {name: number for name, number in others.items() if is_emotion(name)}
    if len(emotions) > 1:
        return emotions
    return others if len(others) > 1 and _is_one_hot(table, list(others.values())) else {}


def largest_class(fields: Sequence[str], columns: dict[str, int]) -> str:
    """Return the class with the largest value; empty if there are several, or if no value is above 0.

    Raises:
        ValueError: A value is not a number.
        IndexError: A field is missing.
    """
    values = {name: _number(fields[number]) for name, number in columns.items()}
    most = max(values.values())
    found = [name for name, value in values.items() if value == most]
    return found[0] if len(found) == 1 and most > 0 else ""


def _is_one_hot(table: Table, numbers: Sequence[int]) -> bool:
    total = clear = 0
    for _, fields in table.rows():
        if len(fields) <= max(numbers):
            return False
        values = [fields[number].strip().lower() for number in numbers]
        if not all(value in _TRUTH for value in values):
            return False
        total += 1
        clear += sum(value in _ONE for value in values) == 1
    return clear * 2 > total


def _number(text: str) -> float:
    value = text.strip().lower()
    return _TRUTH[value] if value in _TRUTH else float(value)
