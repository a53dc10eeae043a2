"""Timelines: results of a clip, written to a CSV, JSON or parquet file as they come."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol

from fer_service.contract.errors import ClipError
from fer_service.contract.schemas import FramePrediction, TrackedFace
from fer_service.contract.text import csv_cell

_COLUMNS: Final = (
    "frame",
    "time",
    "id",
    "x",
    "y",
    "width",
    "height",
    "score",
    "roll",
    "emotion",
    "confidence",
    "uncertain",
)
_ROW_GROUP: Final = 5000  # rows per parquet row group, which is held in memory


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
    analysed frame, like the results of a stream.

    Args:
        path: Timeline file; the suffix chooses the format: .csv, .json or .parquet.
        labels: Labels of the model.

    Raises:
        ClipError: unknown suffix, the file cannot be written, or pyarrow is not installed.
    """
    if path.suffix not in _FORMATS:
        raise ClipError(f"{path}: unknown timeline suffix; use {', '.join(_FORMATS)}")
    try:
        return _FORMATS[path.suffix](path, labels)
    except OSError as error:
        raise ClipError(f"cannot write {path}: {error.strerror}") from error


class _Csv:
    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        self._labels = labels
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._writer.writerow(map(csv_cell, _columns(labels)))

    def add(self, result: FramePrediction) -> None:
        for face in result.faces:
            values = _values(result, face, self._labels)
            self._writer.writerow(csv_cell(value) if isinstance(value, str) else value for value in values)

    def __enter__(self) -> "_Csv":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


class _Json:
    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        del labels
        self._file = path.open("w", encoding="utf-8")
        self._file.write('{"frames": [')
        self._separator = "\n"

    def add(self, result: FramePrediction) -> None:
        self._file.write(self._separator + json.dumps(result.model_dump(mode="json"), ensure_ascii=False))
        self._separator = ",\n"

    def __enter__(self) -> "_Json":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.write("\n]}\n")
        self._file.close()


class _Parquet:
    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise ClipError("pyarrow is not installed; parquet files need it: pip install av pyarrow") from error
        types = {"frame": pa.int64(), "id": pa.int64(), "emotion": pa.string(), "uncertain": pa.bool_()}
        types |= dict.fromkeys(("x", "y", "width", "height"), pa.int32())
        self._labels = labels
        self._schema = pa.schema([(name, types.get(name, pa.float64())) for name in _columns(labels)])
        self._table = pa.Table
        self._writer = pq.ParquetWriter(path, self._schema)
        self._rows: list[list[Any]] = []

    def add(self, result: FramePrediction) -> None:
        self._rows.extend(_values(result, face, self._labels) for face in result.faces)
        if len(self._rows) >= _ROW_GROUP:
            self._flush()

    def __enter__(self) -> "_Parquet":
        return self

    def __exit__(self, *exception: object) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(self._schema)
        named = dict(zip(self._schema.names, columns, strict=True))
        self._writer.write_table(self._table.from_pydict(named, self._schema))
        self._rows = []


_FORMATS: Final[dict[str, Callable[[Path, Sequence[str]], Timeline]]] = {
    ".csv": _Csv,
    ".json": _Json,
    ".parquet": _Parquet,
}


def _columns(labels: Sequence[str]) -> list[str]:
    """Return the names of the columns, all different."""
    columns = [*_COLUMNS]
    for name in (*labels, *(f"raw_{label}" for label in labels)):
        while name in columns:
            name = f"label_{name}"
        columns.append(name)
    return columns


def _values(result: FramePrediction, face: TrackedFace, labels: Sequence[str]) -> list[Any]:
    """Return the values of a row, in the order of the columns."""
    return [
        *(result.frame, result.time, face.id),
        *(face.box.x, face.box.y, face.box.width, face.box.height),
        *(face.score, face.roll, face.emotion, face.confidence, face.uncertain),
        *(face.probabilities[label] for label in labels),
        *(face.raw_probabilities[label] for label in labels),
    ]
