"""Names of the classes that data sets store as numbers, and cells that wrap a label."""

import re
from typing import Any, Final

from fer_training.data.names import emotion_key, is_emotion

FER2013: Final = "FER-2013"  # its name as a data set
FER2013_LABELS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_SEVERAL: Final = re.compile(r"[,;|/+&]")
_LIST: Final = re.compile(r"""\[\s*(["']?)([^"',]*)\1\s*\]""")


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
    if len(cell) > 1:
        raise ValueError(f"the image has several labels, {shown}: keep one per image")
    return cell[0] if cell else None
