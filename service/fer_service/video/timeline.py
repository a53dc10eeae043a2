"""Timelines: results of a clip, written to a CSV, JSON or parquet file as they come."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol

from fer_service.contract.errors import ClipError
from fer_service.contract.schemas import FramePrediction
from fer_service.contract.summaries import FrameCounts
from fer_service.tables import FACE_COLUMNS, CsvTable, ParquetTable, face_values, with_numbers

_COLUMNS: Final = {"frame": int, "time": float, "id": int, **FACE_COLUMNS}


class Timeline(Protocol):
    """Writes the results of a clip in order. As a context manager, it completes the file also after an error."""

    def add(self, result: FramePrediction) -> None:
        """Write the result of one frame."""

    def __enter__(self) -> "Timeline": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_timeline(path: Path, labels: Sequence[str]) -> Timeline:
    """Create or replace a timeline file.

    CSV and parquet have one row per face and frame, with smoothed probabilities in columns named by the labels and
    raw ones in columns `raw_<label>`. A label that is the name of another column gets the prefix `label_`. In CSV
    files an apostrophe comes before texts that a spreadsheet would take for a formula. JSON has one entry per
    analysed frame, like the results of a stream, and the `summary` of all.

    Args:
        path: Timeline file; the suffix chooses the format: .csv, .json or .parquet.
        labels: Labels of the model.

    Raises:
        ClipError: unknown suffix, or the file cannot be written.
        ResultsError: pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise ClipError(f"{path}: unknown timeline suffix; use {', '.join(_FORMATS)}")
    try:
        return _FORMATS[suffix](path, labels)
    except OSError as error:
        raise ClipError(f"cannot write {path}: {error.strerror}") from error


class _Rows:
    """The rows of a table: one per face and frame."""

    def __init__(self, kind: type[CsvTable] | type[ParquetTable], path: Path, labels: Sequence[str]) -> None:
        self._labels = labels
        names = (*labels, *(f"raw_{label}" for label in labels))
        self._table = kind(path, with_numbers(_COLUMNS, names))

    def add(self, result: FramePrediction) -> None:
        self._table.add(self._values(result))

    def __enter__(self) -> "_Rows":
        return self

    def __exit__(self, *exception: object) -> None:
        self._table.__exit__(*exception)

    def _values(self, result: FramePrediction) -> list[list[Any]]:
        return [
            [
                *(result.frame, result.time, face.id, *face_values(face)),
                *(face.probabilities[label] for label in self._labels),
                *(face.raw_probabilities[label] for label in self._labels),
            ]
            for face in result.faces
        ]


class _Json:
    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        del labels
        self._file = path.open("w", encoding="utf-8")
        self._file.write('{"frames": [')
        self._separator = "\n"
        self._counts = FrameCounts()

    def add(self, result: FramePrediction) -> None:
        self._counts.add(result.faces)
        self._file.write(self._separator + json.dumps(result.model_dump(mode="json"), ensure_ascii=False))
        self._separator = ",\n"

    def __enter__(self) -> "_Json":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.write(f'\n], "summary": {self._counts.summary().model_dump_json()}}}\n')
        self._file.close()


_FORMATS: Final[dict[str, Callable[[Path, Sequence[str]], Timeline]]] = {
    ".csv": partial(_Rows, CsvTable),
    ".json": _Json,
    ".parquet": partial(_Rows, ParquetTable),
}
