"""Names of the classes that data sets store as numbers, and cells that wrap a label."""

import re
from collections.abc import Collection
from typing import Any, Final

from fer_training.data.names import emotion_key, is_emotion
from fer_training.errors import DataError

FER2013: Final = "FER-2013"  # its name as a data set
FER2013_LABELS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_MANY: Final = 5  # emotions; a set with as many and without the first one counts from 1
_SEVERAL: Final = re.compile(r"[,;|/+&]")
_LIST: Final = re.compile(r"""\[\s*(["']?)([^"',]*)\1\s*\]""")


def check_counted_from_zero(numbers: Collection[int], where: str) -> None:
    """Refuse numbers of FER-2013's emotions that count from 1: every class would get the name of the next one.

    Args:
        numbers: Numbers of the images.
        where: Name of the file.

    Raises:
        DataError: There are most of 1 to 7, and there is no 0.
    """
    if 0 not in numbers and len(numbers) >= _MANY and max(numbers) >= len(FER2013_LABELS) - 1:
        raise DataError(
            f"{where}: emotions {min(numbers)} to {max(numbers)}, but FER-2013 counts from 0, angry: "
            "write names, or 0 to 6"
        )


def only_label(cell: Any) -> Any:
    """Return the label of a cell that wraps it: [3], "['happy']" or {"id": 3, "name": "happy"}.

    A text of several emotions, such as "happy,sad", has several labels.

    Raises:
        ValueError: The cell has several labels.
    """
    shown = str(cell)[:60]
    if isinstance(cell, dict):
        words = [value for value in cell.values() if isinstance(value, str)]
        cell = words or [value for value in cell.values() if value is not None]
    elif isinstance(cell, str) and cell.strip().startswith("["):
        match = _LIST.fullmatch(cell.strip())
        cell = [match[2].strip()] if match else cell.split()
    elif isinstance(cell, str) and all(map(is_emotion, parts := _SEVERAL.split(cell))):
        # Several words for one emotion, such as joy/happiness, are one label.
        cell = parts if len(set(map(emotion_key, parts))) > 1 else [cell]
    if not isinstance(cell, list):
        return cell
    if len(cell) > 2 and all(isinstance(value, int | float) for value in cell):
        raise ValueError(
            f"the label is a list of {len(cell)} numbers, such as one-hot: write the name of the class"
        )
    if len(cell) > 1:
        raise ValueError(f"the image has several labels, {shown}: keep one per image")
    return cell[0] if cell else None
