"""Tables of faces, written row by row to CSV and parquet files."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from fer_service.contract.errors import ResultsError
from fer_service.contract.extras import install_command
from fer_service.contract.schemas import FaceEmotion
from fer_service.contract.text import csv_cell
from fer_service.system.files import write_atomically

FACE_COLUMNS: Final[Mapping[str, type]] = {
    **dict.fromkeys(("x", "y", "width", "height"), int),
    **dict.fromkeys(("score", "roll"), float),
    "emotion": str,
    "confidence": float,
    "uncertain": bool,
    "reasons": str,
    "size": int,
    **dict.fromkeys(("sharpness", "exposure", "clipped", "yaw", "pitch", "cut"), float),
}
_ROW_GROUP: Final = 5000  # rows per parquet row group, which is held in memory


def face_values(face: FaceEmotion) -> list[Any]:
    """Return the values of `FACE_COLUMNS`. Several reasons are separated by semicolons."""
    box, quality, pose = face.box, face.quality, face.quality.pose
    return [
        *(box.x, box.y, box.width, box.height),
        *(face.score, face.roll, face.emotion, face.confidence, face.uncertain),
        *("; ".join(face.reasons), quality.size, quality.sharpness, quality.exposure, quality.clipped),
        *(pose and pose.yaw, pose and pose.pitch, quality.cut),
    ]


def with_numbers(columns: Mapping[str, type], names: Iterable[str]) -> dict[str, type]:
    """Return the columns and one of numbers per name; a name that is taken gets the prefix `label_`."""
    found = dict(columns)
    for name in names:
        while name in found:
            name = f"label_{name}"
        found[name] = float
    return found


class CsvTable:
    """A CSV file. As a context manager, it closes the file.

    An apostrophe comes before texts that a spreadsheet would take for a formula (see `csv_cell`).
    """

    def __init__(self, path: Path, columns: Iterable[str], kept: Sequence[Sequence[str]] = ()) -> None:
        """Create or replace the file.

        Args:
            path: File to write.
            columns: Names of the columns.
            kept: Rows of an earlier file, as they stand there. They are never lost on the way.

        Raises:
            OSError: the file cannot be written.
        """
        if kept:
            begin = io.StringIO()
            csv.writer(begin).writerows([[csv_cell(name) for name in columns], *kept])
            write_atomically(path, begin.getvalue())
        self._file = path.open("a" if kept else "w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        if kept:
            return
        try:
            self.add([[*columns]])
        except OSError:
            self._file.close()
            raise

    def add(self, rows: Iterable[Iterable[object]]) -> None:
        """Write rows."""
        self._writer.writerows(
            [csv_cell(value) if isinstance(value, str) else value for value in row] for row in rows
        )
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


class ParquetTable:
    """A parquet file. As a context manager, it completes the file also after an error."""

    def __init__(self, path: Path, columns: Mapping[str, type]) -> None:
        """Create or replace the file.

        Args:
            path: File to write.
            columns: Type of each column: str, int, float or bool. All may have missing values.

        Raises:
            ResultsError: pyarrow is not installed.
            OSError: the file cannot be written.
        """
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise ResultsError(f"parquet files need pyarrow: {install_command('parquet')}") from error
        types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
        self._schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
        self._table = pa.Table
        self._writer = pq.ParquetWriter(path, self._schema)
        self._rows: list[Sequence[Any]] = []

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Write rows; up to 5,000 of them wait in memory."""
        self._rows.extend(rows)
        if len(self._rows) >= _ROW_GROUP:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        named = dict(zip(self._schema.names, zip(*self._rows, strict=True), strict=True))
        self._writer.write_table(self._table.from_pydict(named, self._schema))
        self._rows = []
