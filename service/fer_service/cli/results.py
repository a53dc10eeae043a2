"""Results of many files, written to a CSV, NDJSON, JSON or parquet file as they come."""

import codecs
import csv
import io
import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Protocol, Self, TypeAlias

from fer_service.cli.replaceable import check_replaceable
from fer_service.contract.errors import ResultsError
from fer_service.contract.schemas import FramePrediction, Prediction
from fer_service.contract.summaries import FaceCounts
from fer_service.contract.text import csv_cell
from fer_service.system.files import write_atomically
from fer_service.tables import FACE_COLUMNS, CsvTable, ParquetTable, face_values, with_numbers

Outcome: TypeAlias = Prediction | FramePrediction | str  # of an image, of a frame of a video, or an error
CONTINUED: Final = (".csv", ".ndjson")  # suffixes of files that a later run can continue
_COLUMNS: Final = {"file": str, "error": str, "frame": int, "time": float, "face": int, **FACE_COLUMNS}


class Results(Protocol):
    """Writes results in order."""

    def has(self, name: str) -> bool:
        """Return True if an earlier run has completed a file."""

    def add(self, name: str, outcome: Outcome) -> None:
        """Write the result of a file, or of one frame of it."""


def open_results(
    path: Path, labels: Sequence[str], *, resume: bool, files: Collection[str] = ()
) -> AbstractContextManager[Results]:
    """Create or replace a file of results, or continue one. The file is completed also after an error.

    CSV and parquet have one row per face, one per image without faces, and one per file that cannot be read, with
    its `error`. The probabilities are in columns named by the labels; a label that is the name of another column
    gets the prefix `label_`. `face` counts the faces of an image from 1; in a video it is the ID of the face.
    NDJSON has one line per image or frame, as the HTTP API answers. JSON has a list of them and the
    `summary` of all.

    Args:
        path: File to write; the suffix chooses the format: .csv, .ndjson, .json or .parquet.
        labels: Labels of the model.
        resume: Keep what an existing file has, except errors and the results of its last file, which may be
            incomplete, if these are among `files`.
        files: Names of the files to analyse.

    Raises:
        ResultsError: Unknown suffix, the file cannot be written or continued, it has other content than results,
            or pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise ResultsError(f"{path}: unknown suffix for results; use {', '.join(_FORMATS)}")
    if resume and suffix not in CONTINUED:
        raise ResultsError(f"--resume needs a .csv or .ndjson file: {path} cannot be continued")
    if not resume:
        check_replaceable(path)
    try:
        return _FORMATS[suffix](path, labels, files if resume and path.exists() else None)
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror or error}") from error


class _Rows:
    """The rows of a table: one per face, and at least one per file."""

    def __init__(self, table: CsvTable | ParquetTable, labels: Sequence[str], done: frozenset[str]) -> None:
        self._table, self._labels, self._done = table, labels, done

    def has(self, name: str) -> bool:
        return csv_cell(name) in self._done

    def add(self, name: str, outcome: Outcome) -> None:
        self._table.add([*_rows(name, outcome, self._labels)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._table.__exit__(*exception)


def _csv(path: Path, labels: Sequence[str], again: Collection[str] | None) -> _Rows:
    columns = with_numbers(_COLUMNS, labels)
    kept = (
        [] if again is None else _kept_rows(path, [csv_cell(name) for name in columns], set(map(csv_cell, again)))
    )
    return _Rows(CsvTable(path, columns, kept), labels, frozenset(row[0] for row in kept))


def _parquet(path: Path, labels: Sequence[str], again: Collection[str] | None) -> _Rows:
    del again
    return _Rows(ParquetTable(path, with_numbers(_COLUMNS, labels)), labels, frozenset())


class _Lines:
    """A text file whose lines are kept or written anew."""

    def __init__(self, path: Path, lines: Sequence[str]) -> None:
        write_atomically(path, "".join(lines))
        self._file = path.open("a", newline="", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


class _Ndjson(_Lines):
    def __init__(self, path: Path, labels: Sequence[str], again: Collection[str] | None) -> None:
        del labels
        kept = [] if again is None else _kept_lines(path, set(again))
        self._done = frozenset(json.loads(line)["name"] for line in kept)
        super().__init__(path, kept)

    def has(self, name: str) -> bool:
        return name in self._done

    def add(self, name: str, outcome: Outcome) -> None:
        self._file.write(_json(name, outcome) + "\n")
        self._file.flush()


class _Json(_Lines):
    def __init__(self, path: Path, labels: Sequence[str], again: Collection[str] | None) -> None:
        del labels, again
        super().__init__(path, ['{"results": ['])
        self._separator = "\n"
        self._counts = FaceCounts()

    def has(self, name: str) -> bool:
        return False

    def add(self, name: str, outcome: Outcome) -> None:
        self._counts.add([] if isinstance(outcome, str) else outcome.faces)
        self._file.write(self._separator + _json(name, outcome))
        self._separator = ",\n"

    def __exit__(self, *exception: object) -> None:
        self._file.write(f'\n], "summary": {self._counts.summary().model_dump_json()}}}\n')
        super().__exit__(*exception)


_Open: TypeAlias = Callable[[Path, Sequence[str], Collection[str] | None], AbstractContextManager[Results]]
_FORMATS: Final[dict[str, _Open]] = {
    ".csv": _csv,
    ".ndjson": _Ndjson,
    ".json": _Json,
    ".parquet": _parquet,
}


def json_name(path: Path) -> str:
    """Return a path as JSON can hold it: bytes that are not UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _rows(name: str, outcome: Outcome, labels: Sequence[str]) -> Iterator[list[Any]]:
    empty: list[Any] = [None] * (len(FACE_COLUMNS) + len(labels))
    if isinstance(outcome, str):
        yield [name, outcome, None, None, None, *empty]
        return
    frame = (outcome.frame, outcome.time) if isinstance(outcome, FramePrediction) else (None, None)
    if not outcome.faces and not frame[0]:  # so that every file has a row
        yield [name, None, *frame, None, *empty]
    for number, face in enumerate(outcome.faces, 1):
        probabilities = [face.probabilities[label] for label in labels]
        yield [name, None, *frame, getattr(face, "id", number), *face_values(face), *probabilities]


def _json(name: str, outcome: Outcome) -> str:
    if isinstance(outcome, str):
        return json.dumps({"name": name, "error": {"detail": outcome}}, ensure_ascii=False)
    return json.dumps({"name": name, **outcome.model_dump(mode="json")}, ensure_ascii=False)


def _kept_rows(path: Path, header: list[str], files: set[str]) -> list[list[str]]:
    """Return the rows of a CSV file without those of failed files and of its last one, if these come again."""
    text = path.read_bytes().decode("utf-8-sig", "replace")  # the last character may be torn
    whole = io.StringIO()
    csv.writer(whole).writerow(header)
    if whole.getvalue().startswith(text):  # only a part of the header was written
        return []
    try:
        first, *rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row] or [header]
    except csv.Error as error:
        raise ResultsError(f"{path} is not a file of results: give another --out") from error
    if first[:3] == ["frame", "time", "id"]:
        raise ResultsError(f"{path} is the timeline of a video, which cannot be continued: leave --resume out")
    if first != header:
        raise ResultsError(
            f"{path} has other columns, such as those of another model or of a spreadsheet: give another --out"
        )
    if rows and not (text.endswith("\n") and len(rows[-1]) == len(header)):
        rows.pop()
    column = header.index("error")
    again = files & ({row[0] for row in rows if row[column]} | {row[0] for row in rows[-1:]})
    return [row for row in rows if row[0] not in again]


def _kept_lines(path: Path, files: set[str]) -> list[str]:
    """Return the lines of an NDJSON file without failed files and its last one, if these come again."""
    *lines, _ = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")  # the last line may be torn
    lines = [line for line in lines if line.strip()]
    try:
        results = [json.loads(line) for line in lines]
        again = {each["name"] for each in results if "error" in each} | {each["name"] for each in results[-1:]}
        again &= files
        kept = zip(lines, (each["name"] for each in results), strict=True)
        return [line.decode() + "\n" for line, name in kept if name not in again]
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{path} is not a file of results: give another --out") from error
