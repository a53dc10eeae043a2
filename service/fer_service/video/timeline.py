"""Results of a clip → a file, as they come: CSV, JSON or parquet by the file's ending."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol

from fer_service.contract.errors import ClipError
from fer_service.contract.schemas import FramePrediction, TrackedFace

_ROWS_A_GROUP: Final = 5000  # of parquet; as many are held in memory


class Timeline(Protocol):
    """Takes a clip's results in order; used as a context, it completes the file whatever happens."""

    def add(self, result: FramePrediction) -> None:
        """Write a frame's result."""

    def __enter__(self) -> "Timeline": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_timeline(path: Path, labels: Sequence[str]) -> Timeline:
    """Begin a file; an older one is replaced.

    CSV and parquet have a row a face with smoothed probabilities under the labels' names and raw ones under
    `raw_` and the name; JSON has an entry a frame that was looked at, as the stream's results.

    Args:
        path: Its ending decides: .csv, .json or .parquet.
        labels: The model's.

    Raises:
        ClipError: the ending is another, the file cannot be written, or parquet's library is missing.
    """
    if path.suffix not in _KINDS:
        raise ClipError(f"{path}: a timeline ends in {', '.join(_KINDS)}")
    try:
        return _KINDS[path.suffix](path, labels)
    except OSError as error:
        raise ClipError(f"{path} cannot be written: {error.strerror}") from error


class _Csv:
    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        self._labels = labels
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, _columns(labels))
        self._writer.writeheader()

    def add(self, result: FramePrediction) -> None:
        self._writer.writerows(_row(result, face, self._labels) for face in result.faces)

    def __enter__(self) -> "_Csv":
        return self

    def __exit__(self, *about: object) -> None:
        self._file.close()


class _Json:
    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        del labels
        self._file = path.open("w", encoding="utf-8")
        self._file.write('{"frames": [')
        self._between = "\n"

    def add(self, result: FramePrediction) -> None:
        self._file.write(self._between + json.dumps(result.model_dump(mode="json"), ensure_ascii=False))
        self._between = ",\n"

    def __enter__(self) -> "_Json":
        return self

    def __exit__(self, *about: object) -> None:
        self._file.write("\n]}\n")
        self._file.close()


class _Parquet:
    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise ClipError("parquet needs pyarrow, of the extra `video`: pip install av pyarrow") from error
        types = {"frame": pa.int64(), "id": pa.int64(), "emotion": pa.string(), "uncertain": pa.bool_()}
        types |= dict.fromkeys(("x", "y", "width", "height"), pa.int32())
        self._labels = labels
        self._schema = pa.schema([(name, types.get(name, pa.float64())) for name in _columns(labels)])
        self._table = pa.Table
        self._writer = pq.ParquetWriter(path, self._schema)
        self._rows: list[dict[str, Any]] = []

    def add(self, result: FramePrediction) -> None:
        self._rows.extend(_row(result, face, self._labels) for face in result.faces)
        if len(self._rows) >= _ROWS_A_GROUP:
            self._flush()

    def __enter__(self) -> "_Parquet":
        return self

    def __exit__(self, *about: object) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(self._table.from_pylist(self._rows, self._schema))
        self._rows = []


_KINDS: Final[dict[str, Callable[[Path, Sequence[str]], Timeline]]] = {
    ".csv": _Csv,
    ".json": _Json,
    ".parquet": _Parquet,
}


def _columns(labels: Sequence[str]) -> list[str]:
    about = ["frame", "time", "id", "x", "y", "width", "height", "score", "emotion", "confidence", "uncertain"]
    return [*about, *labels, *(f"raw_{label}" for label in labels)]


def _row(result: FramePrediction, face: TrackedFace, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "frame": result.frame,
        "time": result.time,
        "id": face.id,
        **face.box.model_dump(),
        "score": face.score,
        "emotion": face.emotion,
        "confidence": face.confidence,
        "uncertain": face.uncertain,
        **{label: face.probabilities[label] for label in labels},
        **{f"raw_{label}": face.raw_probabilities[label] for label in labels},
    }
