"""Whole files: reads, hashes, and atomic writes, of which a reader sees the old content or the new one."""

import errno
import hashlib
import os
import stat
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_MAX_NAME = 255  # bytes, on most file systems


def read_file(path: Path, max_bytes: int) -> bytes:
    """Read a whole regular file. A pipe, from which a read may never return, is an error.

    Args:
        path: The file, or a link to it.
        max_bytes: Maximum size.

    Raises:
        OSError: The file is missing, unreadable, larger, or not a regular file; `strerror` says which.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    with path.open("rb") as file:
        # A read of a size allocates it, so the size comes from the file.
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise OSError(errno.EFBIG, f"More than {max_bytes:,} bytes", str(path))
        return file.read(size)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FileIds:
    """A set of files. Every name of a file in the set is recognised, also a link."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Look the files up; names without a file are left out."""
        self._ids = {file for path in paths if (file := _file_id(path)) is not None}

    def __contains__(self, path: Path) -> bool:
        """Return True if the name stands for one of the files."""
        return _file_id(path) in self._ids


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 (for a name that is too long, Path raises)
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def name_of_its_own(source: Path, path: Path, taken: Container[str]) -> Path:
    """Return a path whose name, of at most 255 bytes, has a hash of the path of its source.

    Args:
        source: Path of the source.
        path: The path without the hash; the stem is cut off if it is too long.
        taken: Paths that it must not be, as texts in folded case: some file systems take both cases for one.
    """
    hashed = hashlib.sha256(os.fsencode(source))
    while True:
        end = f"-{hashed.hexdigest()[:16]}{path.suffix}"
        stem = os.fsencode(path.stem)[: _MAX_NAME - len(end)].decode("utf-8", "ignore")
        found = path.with_name(stem + end)
        if str(found).casefold() not in taken:
            return found
        hashed.update(b"again")


def fits_a_name(name: str) -> bool:
    """Return True if most file systems take the name."""
    return len(os.fsencode(name)) <= _MAX_NAME


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a whole file (see `open_atomically`). Text is encoded as UTF-8.

    Raises:
        OSError: The file cannot be written. The old file is unchanged.
    """
    with open_atomically(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a file for a streaming write that takes effect when the block ends.

    The content goes into `<name>.partial` in the same folder, which then replaces the file. If the block raises,
    the partial file is deleted and the old file is unchanged. Of a link, the file that it names is replaced. The
    data is not synced to disk, and a file must have only one writer at a time.

    Raises:
        OSError: The file cannot be written.
    """
    named, path = path, Path(os.path.realpath(path))
    partial = path.with_name(f"{path.name}.partial")
    if len(os.fsencode(partial.name)) > _MAX_NAME:
        partial = path.with_name(f"{hashlib.sha256(os.fsencode(path.name)).hexdigest()}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:  # such as a full disk
            error.filename = str(named)
        # A missing parent folder leaves nothing to delete; the first error is the one to report.
        if partial.is_file() or partial.is_symlink():
            partial.unlink()
        raise
