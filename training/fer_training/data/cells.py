"""Cells of parquet and Arrow files: an image in any common form, a label as a number or a word."""

import base64
import binascii
import math
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fer_training.data.columns import class_names
from fer_training.data.images import decode_square, resize_square
from fer_training.data.labels import FER2013_LABELS, check_counted_from_zero, only_label
from fer_training.data.names import is_missing, readable
from fer_training.errors import DataError

_MAX_LEVEL: Final = 255
# The beginnings of PNG, JPEG, GIF, RIFF (WebP), BMP and TIFF; a path is shorter.
_BASE64: Final = re.compile(
    r"\s*(data:image/[\w.+-]+;base64,)?(iVBORw0KGgo|/9j/|R0lGOD|UklGR|Qk[0-3]|SUkqA|TU0AK)[A-Za-z0-9+/\s]{60}"
)
_SHOWN: Final = 60  # characters of a cell in a message


def image_of(cell: Any, size: int, name: str, folder: Path) -> NDArray[np.uint8]:
    """Return the image of a cell, uint8 [size, size, 3], RGB.

    Args:
        cell: Bytes of an image file, also in base64; {bytes, path}; the path of a file; or grey levels as numbers
            or as text.
        size: Side of the square in pixels.
        name: Name of the row in error messages.
        folder: Folder to which paths are relative.

    Raises:
        DataError: The cell has no image that can be decoded.
    """
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, str):
        cell = _decoded(cell)
    if isinstance(cell, bytes):
        return decode_square(cell, size, name)
    if isinstance(cell, str) and len(cell.split()) < 64:
        return decode_square(_file(cell, folder, name), size, name)
    if isinstance(cell, str):
        cell = cell.split()
    if not isinstance(cell, list):
        raise DataError(f"{name}: the image is empty")
    try:
        levels = np.array(cell, np.float64)
        if not levels.size:
            raise ValueError("it has no levels")
        if not np.isfinite(levels).all():
            raise ValueError("it has levels that are not numbers")
        if levels.max() <= 1 and (levels % 1).any():
            raise ValueError("it has levels of 0 to 1; multiply them by 255")
        if levels.min() < 0 or levels.max() > _MAX_LEVEL:
            raise ValueError(f"it has levels of {levels.min():g} to {levels.max():g}")
        return resize_square(_rgb(np.rint(levels).astype(np.uint8)), size)
    except (ValueError, OverflowError, TypeError) as error:
        raise DataError(
            f"{name}: the image is neither a file nor levels of 0 to 255: {_short(str(error))}"
        ) from error


def _decoded(text: str) -> str | bytes:
    """Return the bytes of an image in base64 or in a data URL, and other texts as they are."""
    if not _BASE64.match(text):
        return text
    characters = "".join(text.rpartition(",")[2].split()).rstrip("=")
    try:
        return base64.b64decode(characters + "=" * (-len(characters) % 4), validate=True)  # some leave these out
    except binascii.Error:
        return text


def _file(path: str, folder: Path, name: str) -> bytes:
    try:
        inside = (folder / path).resolve()
        if not inside.is_relative_to(folder.resolve()):
            raise DataError(
                f"{name}: the image has no bytes, and its path {_short(path)} is outside of the data set"
            )
        return inside.read_bytes()
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: the image has no bytes, and its file {_short(path)} cannot be read") from error


def _rgb(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if levels.ndim == 1:
        side = round(levels.size**0.5)
        levels = levels.reshape(side, side)
    if levels.ndim == 3 and levels.shape[0] in (1, 3) and levels.shape[2] not in (1, 3):
        levels = levels.transpose(1, 2, 0)
    if levels.ndim == 2:
        levels = levels[..., None]
    if levels.ndim != 3 or levels.shape[2] not in (1, 3):
        raise ValueError(f"shape {levels.shape}")
    return np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:2], 3)))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


class LabelNames:
    """Names of the classes of a data set, collected over its files."""

    def __init__(self, usual: tuple[str, ...] = ()) -> None:
        """Start.

        Args:
            usual: Names for the files that have none themselves.
        """
        self._usual = usual
        self._names: tuple[str, ...] = ()
        self._known: list[str] = []
        self._numbers_of_fer = False
        self._skipped = 0
        self._guessed: set[int] = set()  # numbers that were read as FER-2013's

    def add(self, schema: Any, column: str) -> None:
        """Take over the names of a file's ClassLabel column, if it has one."""
        self._names = class_names(schema, column) or self._usual
        self._known += [name for name in self._names if name not in self._known]
        self._numbers_of_fer = not self._names and column.casefold() == "emotion"

    def name_of(self, cell: Any, row: str) -> str | None:
        """Return the class of a cell, or None for a row without a label.

        Raises:
            DataError: The cell has several labels, or a number without a name.
        """
        if isinstance(cell, bytes):
            cell = cell.decode("utf-8", "replace")
        try:
            cell = only_label(cell)
        except ValueError as error:
            raise DataError(f"{row}: {error}") from error
        if isinstance(cell, float) and math.isinf(cell):
            raise DataError(f"{row}: invalid label {cell}")
        if isinstance(cell, float) and cell.is_integer():
            cell = int(cell)
        if cell is None or cell == -1 or cell != cell or (isinstance(cell, str) and is_missing(cell)):
            self._skipped += 1
            return None
        if isinstance(cell, str) and cell.strip().isdecimal():
            cell = int(cell)
        if not isinstance(cell, int) or isinstance(cell, bool):
            return readable(str(cell)).strip()
        names = self._names or (FER2013_LABELS if self._numbers_of_fer else ())
        if not names:
            return str(cell)
        if not 0 <= cell < len(names):
            raise DataError(f"{row}: invalid label {cell}, must be 0 to {len(names) - 1}: {', '.join(names)}")
        if not self._names:
            self._guessed.add(cell)
        return readable(names[cell])

    def ordered(self, used: set[str]) -> tuple[str, ...]:
        """Return the classes that have images: named ones in the order of their numbers, others sorted.

        Raises:
            DataError: The numbers were read as FER-2013's, and count from 1.
        """
        check_counted_from_zero(self._guessed, "column emotion")
        known = self._known or list(FER2013_LABELS) * bool(self._guessed)
        named = [readable(name) for name in known if readable(name) in used]
        rest = sorted(used - set(named), key=lambda name: (int(name), name) if name.isdecimal() else (-1, name))
        return (*dict.fromkeys(named), *rest)

    def notes(self) -> list[str]:
        """Say what was left out or guessed."""
        notes = [f"{self._skipped:,} rows without a label left out"] if self._skipped else []
        if self._guessed:
            notes.append("the numbers of column emotion are read as FER-2013's: 0 angry, 1 disgust, …, 6 neutral")
        return notes
