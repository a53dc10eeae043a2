"""The files of a batch job: found once, written down in parts, and kept with the results."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import typer

from fer_service.cli.results import json_name
from fer_service.cli.sources import ADDRESS, MEDIA, files_in, find_sources, is_media
from fer_service.contract.errors import ResultsError
from fer_service.contract.extras import install_command
from fer_service.contract.text import printable
from fer_service.system.entries import is_system_entry

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_FILES: Final = "_files.parquet"  # readers of the folder pass over names with an underscore
_ABOUT: Final = b"fer"
_PARTIAL: Final = ".partial"
_PART: Final = re.compile(r"part-(\d{8})\.parquet")


def is_uri(word: str) -> bool:
    """Return True for an address such as s3://bucket/photos."""
    return ADDRESS.match(word) is not None


def open_place(word: str) -> "tuple[FileSystem, str]":
    """Return the file system of a path or URI, and the path in it.

    Raises:
        ResultsError: pyarrow is not installed, or has no such file system.
    """
    try:
        from pyarrow.fs import FileSystem, LocalFileSystem
    except ImportError as error:
        raise ResultsError(f"pyarrow is not installed; batch needs it: {install_command('ray')}") from error
    if not is_uri(word):
        return LocalFileSystem(), os.path.abspath(word)  # noqa: PTH100 (bytes that are not UTF-8)
    try:
        found: tuple[FileSystem, str] = FileSystem.from_uri(word)
    except (ValueError, OSError) as error:
        raise ResultsError(f"{printable(word)}: {error}") from error
    return found


def list_files(words: Sequence[str], *, recursive: bool) -> Iterator[tuple[str, bytes]]:
    """Yield name and place of each file that the words name, once each.

    Only the names of one folder are in memory, if there is one word.

    Args:
        words: Files, folders, patterns, URIs of files or prefixes, and .txt files with a path or URI per line.
        recursive: Also search the subfolders of folders and prefixes.

    Raises:
        typer.BadParameter: a word names nothing.
        ResultsError: a file system cannot be read.
    """
    seen: set[bytes] = set()
    for word in words:
        empty = True
        for name, place in _of_word(word, recursive=recursive):
            empty = False
            if len(words) > 1 or word.endswith(".txt"):
                if place in seen:
                    continue
                seen.add(place)
            yield name, place
        if empty:
            hint = "" if recursive else "; --recursive searches its subfolders"
            raise typer.BadParameter(f"{printable(word)} has no images or videos{hint}")


def _of_word(word: str, *, recursive: bool) -> Iterator[tuple[str, bytes]]:
    if is_uri(word):
        yield from _in_prefix(word, recursive=recursive)
    elif word.endswith(".txt") and os.path.isfile(word):  # noqa: PTH113
        with open(word, encoding="utf-8", errors="surrogateescape") as lines:  # noqa: PTH123
            for line in filter(None, map(str.strip, lines)):
                yield (line, line.encode()) if is_uri(line) else _local(Path(line))
    elif os.path.isdir(word):  # noqa: PTH112 (for a name that is too long, Path raises)
        paths = files_in(Path(word), recursive=recursive)
        yield from (_local(path) for path in paths if is_media(path))
    elif word == "-":
        raise typer.BadParameter("a batch cannot read standard input; give a .txt file with a path per line")
    else:
        yield from map(_local, find_sources([word], recursive=recursive).files)


def _local(path: Path) -> tuple[str, bytes]:
    return json_name(path), os.fsencode(path.absolute())


def _in_prefix(uri: str, *, recursive: bool) -> Iterator[tuple[str, bytes]]:
    from pyarrow.fs import FileSelector, FileType

    system, root = open_place(uri)
    scheme, netloc, _, query, _ = urlsplit(uri)
    user, at, host = netloc.rpartition("@")
    bucket = root.partition("/")[0]  # empty for file systems of a host
    public = f"{scheme}://{'' if bucket else host}"
    # What the workers need besides the path: credentials, and options such as region or endpoint_override.
    base = f"{scheme}://{user}{at}{'' if bucket else host}" if bucket in ("", host) else public
    options = f"?{query}" if query else ""

    def named(path: str) -> tuple[str, bytes]:
        return public + path, (base + quote(path) + options).encode()

    waiting = [root]
    try:
        if system.get_file_info(root).type == FileType.File:
            yield named(root)
            return
        while waiting:
            folders = []
            for entry in sorted(system.get_file_info(FileSelector(waiting.pop())), key=lambda entry: entry.path):
                hidden = is_system_entry(entry.base_name)
                if entry.type == FileType.Directory and recursive and not hidden:
                    folders.append(entry.path)
                elif entry.type == FileType.File and Path(entry.path).suffix.lower() in MEDIA and not hidden:
                    yield named(entry.path)
            waiting += reversed(folders)
    except OSError as error:
        raise ResultsError(f"cannot list {printable(uri)}: {error}") from error


@dataclass(frozen=True)
class BatchFolder:
    """The folder of a job: the list of its files, and a parquet file of results per part.

    Attributes:
        place: Path or URI.
    """

    place: str

    def part(self, number: int) -> str:
        """Return the path of the results of a part, in the folder's file system."""
        return f"{open_place(self.place)[1]}/part-{number:08d}.parquet"

    def done(self) -> set[int]:
        """Return the parts that have results."""
        from pyarrow.fs import FileSelector

        system, root = open_place(self.place)
        entries = system.get_file_info(FileSelector(root, allow_not_found=True))
        names = [_PART.fullmatch(entry.base_name) for entry in entries]
        return {int(name[1]) for name in names if name}

    def errors(self, number: int) -> int | None:
        """Return the number of files with an error in a part, or None if it has no results."""
        import pyarrow.parquet as pq

        system, _ = open_place(self.place)
        try:
            return len(pq.read_table(self.part(number), columns=["error"], filesystem=system)["error"].drop_null())
        except FileNotFoundError:
            return None

    def create(self, files: Iterable[tuple[str, bytes]], part_files: int, about: Mapping[str, Any]) -> None:
        """Write the list of the files, in parts, while they are found.

        Args:
            files: Name and place of each.
            part_files: Number of files per part.
            about: What the results depend on.
        """
        system, root = open_place(self.place)
        import pyarrow as pa
        import pyarrow.parquet as pq

        system.create_dir(root)
        schema = pa.schema([("name", pa.string()), ("place", pa.binary())], {_ABOUT: json.dumps(about)})
        with pq.ParquetWriter(f"{root}/{_FILES}{_PARTIAL}", schema, filesystem=system) as writer:
            for names, places in _chunks(files, part_files):
                writer.write_table(pa.table([names, places], schema), row_group_size=part_files)
        system.move(f"{root}/{_FILES}{_PARTIAL}", f"{root}/{_FILES}")

    def exists(self) -> bool:
        """Return True if the list is complete."""
        system, root = open_place(self.place)
        from pyarrow.fs import FileType

        return bool(system.get_file_info(f"{root}/{_FILES}").type == FileType.File)

    def open(self) -> Any:
        """Return the list as a parquet file with one row group per part."""
        import pyarrow.parquet as pq

        system, root = open_place(self.place)
        return pq.ParquetFile(f"{root}/{_FILES}", filesystem=system)

    def about(self) -> dict[str, Any]:
        """Return what the results depend on."""
        about: dict[str, Any] = json.loads(self.open().schema_arrow.metadata[_ABOUT])
        return about

    def store(self, local: Path, number: int) -> None:
        """Make a complete local file the results of a part."""
        from pyarrow.fs import copy_files

        system, _ = open_place(self.place)
        target = self.part(number)
        copy_files(local.as_uri(), f"{target}{_PARTIAL}", destination_filesystem=system)
        system.move(f"{target}{_PARTIAL}", target)


def _chunks(files: Iterable[tuple[str, bytes]], size: int) -> Iterator[tuple[list[str], list[bytes]]]:
    names: list[str] = []
    places: list[bytes] = []
    for name, place in files:
        names.append(name)
        places.append(place)
        if len(names) == size:
            yield names, places
            names, places = [], []
    if names:
        yield names, places
