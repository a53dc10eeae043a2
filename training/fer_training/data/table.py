"""CSV files in any common dialect: separators, byte order marks, blanks, spellings of column names, gzip."""

import codecs
import gzip
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from fer_training.data.csv_rows import read_rows
from fer_training.data.names import is_emotion, readable, split_name
from fer_training.data.split_columns import flagged_split, is_flag, split_by_flags, split_notes
from fer_training.data.tree import refuse_git_lfs_pointer
from fer_training.errors import DataError

LABEL, PIXELS, SPLIT, FILE = "emotion", "pixels", "Usage", "file_name"
SUFFIXES: Final = {".csv", ".tsv", ".txt", ".tab"}
_SEPARATORS: Final = ",;\t|"
# Names of columns as `column_key` returns them, the likeliest first.
LABEL_NAMES: Final = (
    *("emotion", "label", "labels", "emotions", "expression", "class", "classname", "emotionlabel", "target"),
    *("emotionname", "labelname", "cls", "category", "facialexpression"),
)
SPLIT_NAMES: Final = ("usage", "split", "set", "subset", "partition")
_ROLES: Final = {
    LABEL: {*LABEL_NAMES},
    PIXELS: {"pixels", "pixel", "pixelvalues", "pixeldata"},
    SPLIT: {*SPLIT_NAMES},
    FILE: {
        "filename",
        "file",
        "image",
        "imagename",
        "imagepath",
        "path",
        "filepath",
        "imagefile",
        "img",
        "subdirectoryfilepath",
    },
}
_FEW_PIXELS: Final = 64
_MAX_LINE: Final = 2**25  # characters; an image of 2,048×2,048 pixels has half as many
_GZIP: Final = b"\x1f\x8b"
_OTHERS: Final = {
    b"PAR1": "a parquet file",
    b"ARROW1": "an Arrow or Feather file",
    b"PK\3\4": "a ZIP archive or an Excel file",
    b"\xd0\xcf\x11\xe0": "an Excel file",
}
_IMAGE_NAME: Final = re.compile(r"\.(jpe?g|jfif|png|bmp|webp|gif|tiff?)$", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """Positions of the columns of a CSV file.

    Attributes:
        path: Path of the file.
        names: Names of the columns as `column_key` returns them; empty if the file has no header.
        titles: The same names as they are written.
        columns: Number of the column by role: LABEL, PIXELS, SPLIT, FILE.
        pixel_columns: Columns pixel0, pixel1, … of files with one column per pixel.
        separator: Separator of the fields.
        flags: Columns of true and false that say the split, such as is_train. SPLIT is the first of them.
    """

    path: Path
    names: tuple[str, ...]
    titles: tuple[str, ...]
    columns: dict[str, int]
    pixel_columns: tuple[int, ...]
    separator: str
    flags: tuple[int, ...] = ()

    def split_of(self, fields: Sequence[str]) -> str:
        """Return what a row says about its split; empty if it says nothing.

        Raises:
            ValueError: A column of true and false has another value.
            IndexError: A field is missing.
        """
        if self.flags:
            return split_by_flags({self.titles[number]: fields[number] for number in self.flags})
        return fields[self.columns[SPLIT]].strip() if SPLIT in self.columns else ""

    def split_notes(self) -> list[str]:
        """Say how columns of true and false are read as splits, and that folds are not."""
        flags = [self.titles[number] for number in self.flags]
        return split_notes(flags, self.titles, has_split=SPLIT in self.columns)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number of the line and the fields of every row that is not blank.

        Raises:
            DataError: The file is not text, or not CSV.
        """
        with _opened(self.path) as file:
            rows = read_rows(_after_separator_line(file), str(self.path), self.separator)
            if self.names:
                next(rows, None)
            for line, fields in rows:
                if any(field.strip() for field in fields):
                    yield line, fields


def open_table(path: Path) -> Table:
    """Find the columns of a CSV file by its first line.

    Raises:
        DataError: The file cannot be read.
    """
    with _opened(path) as file:
        lines = _after_separator_line(file)
        first = next(lines, "")
        second = next(lines, "")
    separators = _SEPARATORS + " " * (path.suffix.lower() == ".txt")
    found = [_table(path, first, second, separator) for separator in separators]
    return max(found, key=lambda table: (len(table.columns) + bool(table.pixel_columns), len(table.names)))


def column_key(name: str) -> str:
    """Return a column's name in lower case, without blanks and signs."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", readable(name)).casefold())


def _table(path: Path, line: str, second: str, separator: str) -> Table:
    _, fields = next(read_rows([line], str(path), separator), (1, []))
    _, values = next(read_rows([second], str(path), separator), (1, []))
    names = tuple(column_key(field) for field in fields)
    columns: dict[str, int] = {}
    for number, name in enumerate(names):
        for role, spellings in _ROLES.items():
            if name in spellings:
                columns.setdefault(role, number)
    files = [number for number, name in enumerate(names[: len(values)]) if name in _ROLES[FILE]]
    pixels = next((number for number in files if _has_pixels(values[number])), None)
    if pixels is not None and PIXELS not in columns:  # such as a column `image`
        columns = {role: number for role, number in columns.items() if role != FILE} | {PIXELS: pixels}
    labels = [number for number, name in enumerate(names) if name in _ROLES[LABEL]]
    if len(labels) > 1:
        columns[LABEL] = _likely(labels, names, values)
    # A split under another name, such as `phase`.
    unused = [number for number in range(min(len(names), len(values))) if number not in columns.values()]
    named = [number for number in unused if split_name(values[number])]
    if SPLIT not in columns and columns and named:
        columns[SPLIT] = named[0]
    flags: tuple[int, ...] = ()
    if SPLIT not in columns and columns:
        flags = tuple(number for number in unused if is_flag(values[number]) and flagged_split(fields[number]))
        columns |= {SPLIT: flags[0]} if flags else {}
    pixel_columns = _pixel_columns(names)
    if not columns and not pixel_columns:
        columns = _columns_by_content(fields)
        if columns:
            names = ()
    titles = tuple(readable(field).strip() for field in fields) if names else ()
    return Table(path, names, titles, columns, pixel_columns, separator, flags)


def _pixel_columns(names: Sequence[str]) -> tuple[int, ...]:
    """Return the columns pixel0, pixel1, …, or 0, 1, … as pandas names them."""
    named = tuple(number for number, name in enumerate(names) if re.fullmatch(r"p(ixel|ix|x)?\d+", name))
    counted = tuple(number for number, name in enumerate(names) if name.isdigit())
    # A row of pixels without a header has numbers too, but they do not count up.
    if len(named) < _FEW_PIXELS and [names[number] for number in counted] == [*map(str, range(len(counted)))]:
        named = counted
    return named if len(named) >= _FEW_PIXELS else ()


def _likely(labels: Sequence[int], names: Sequence[str], values: Sequence[str]) -> int:
    """Return the column of labels whose first value, or else whose name, is about emotions."""
    words = [number for number in labels if number < len(values) and is_emotion(values[number].strip())]
    return (words or [number for number in labels if "emotion" in names[number]] or list(labels))[0]


def _columns_by_content(fields: list[str]) -> dict[str, int]:
    """Return the columns of a file without a header, by its first row."""
    found: dict[str, int] = {}
    labels: list[int] = []
    for number, field in enumerate(fields):
        value = field.strip()
        if _has_pixels(value):
            found.setdefault(PIXELS, number)
        elif _IMAGE_NAME.search(value):
            found.setdefault(FILE, number)
        elif value.isdigit() or is_emotion(value):
            labels.append(number)
        elif split_name(value):
            found.setdefault(SPLIT, number)
    if PIXELS in found and labels:
        return found | {LABEL: labels[0]}
    # Beside a file, several numbers may be anything, such as votes or a box.
    return found | {LABEL: labels[0]} if FILE in found and len(labels) == 1 else {}


def _has_pixels(value: str) -> bool:
    return len(value.split()) >= _FEW_PIXELS


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    try:
        refuse_git_lfs_pointer(path)
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
        with gzip.open(path, "rb") if packed else path.open("rb") as raw:
            begin = raw.read(6)
            raw.seek(0)
            kind = next((kind for mark, kind in _OTHERS.items() if begin.startswith(mark)), None)
            if kind:
                raise DataError(f"{path}: {kind}, not text; give it its own suffix, or export it as CSV")
            wide = begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            encoding, errors = ("utf-16", "strict") if wide else ("utf-8-sig", "surrogateescape")
            yield io.TextIOWrapper(cast(IO[bytes], raw), encoding=encoding, errors=errors, newline="")
    except (OSError, EOFError, UnicodeError) as error:
        raise DataError(f"{path}: cannot be read as text: {error}") from error


def _after_separator_line(file: IO[str]) -> Iterator[str]:
    """Yield the lines without blank ones before the header, and without Excel's line `sep=;`."""
    begun = False
    while line := file.readline(_MAX_LINE + 1):
        if len(line) > _MAX_LINE:
            raise DataError(
                f"{file.name}: a line has more than {_MAX_LINE:,} characters, so this is not a CSV file"
            )
        if not begun and (not line.strip() or line.lower().startswith("sep=")):
            continue
        begun = True
        yield line
