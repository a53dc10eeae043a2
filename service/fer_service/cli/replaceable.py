"""Which files the results of a command may replace: those of earlier results."""

import codecs
import json
from pathlib import Path
from typing import Final

from fer_service.contract.errors import ResultsError

# How files of results begin, and timelines.
_BEGINNINGS: Final = {
    ".csv": (b"file,error,frame,", b"frame,time,id,"),
    ".json": (
        *(b'{"results": [\n{"name": ', b'{"results": [\n], "summary": '),
        *(b'{"frames": [\n{"frame": ', b'{"frames": [\n], "summary": '),
    ),
}
_COLUMNS: Final = (["file", "error", "frame"], ["frame", "time", "id"])  # the first ones of Parquet files
_BEGIN: Final = b'{"name": '  # of a line of NDJSON
_MAX_LINE: Final = 2**20


def check_replaceable(path: Path) -> None:
    """Refuse to replace a file that has other content than results or a timeline.

    A file that an interrupted run has left may end anywhere.

    Raises:
        ResultsError: The file has other content.
        OSError: The file cannot be read.
    """
    if not path.is_file() or not path.stat().st_size:
        return
    is_own = {".ndjson": _is_ndjson, ".parquet": _is_parquet}.get(path.suffix.lower(), _begins_as_results)
    if not is_own(path):
        raise ResultsError(f"{path} exists, and is not a file of results: give another --out, or delete it")


def _begins_as_results(path: Path) -> bool:
    known = _BEGINNINGS.get(path.suffix.lower(), (b"",))
    with path.open("rb") as file:
        begin = file.read(len(codecs.BOM_UTF8) + max(map(len, known))).removeprefix(codecs.BOM_UTF8)
    return any(begin.startswith(own) or own.startswith(begin) for own in known)


def _is_ndjson(path: Path) -> bool:
    with path.open("rb") as file:
        line = file.readline(_MAX_LINE).removeprefix(codecs.BOM_UTF8)
    if not line.endswith(b"\n"):
        return line.startswith(_BEGIN) or _BEGIN.startswith(line)
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and "name" in first and not first.keys().isdisjoint({"faces", "error"})


def _is_parquet(path: Path) -> bool:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        return True  # nothing is written without it
    try:
        names: list[str] = pq.read_schema(path).names
    except ValueError:  # as pyarrow.ArrowInvalid is: without its end, nobody can read the file
        with path.open("rb") as file:
            return b"PAR1".startswith(file.read(4))
    return names[:3] in _COLUMNS
