"""Atomic file writes: a reader sees the old content or the new content, never a part of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


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
    the partial file is deleted and the old file is unchanged. The data is not synced to disk, and a file must have
    only one writer at a time.

    Raises:
        OSError: The file cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except BaseException:
        # A missing parent folder leaves nothing to delete; the first error is the one to report.
        if partial.is_file() or partial.is_symlink():
            partial.unlink()
        raise
