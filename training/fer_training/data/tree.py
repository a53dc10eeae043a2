"""All files below a folder, with links followed and entries of systems and tools passed over."""

import errno
import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fer_service.onnx.model_file import GIT_LFS_POINTER
from fer_service.system.entries import is_system_entry

from fer_training.data.names import readable
from fer_training.errors import DataError

_MAX_DEPTH: Final = 16


@dataclass(frozen=True, eq=False)  # compared by identity, which is fast for sets of many files
class File:
    """A regular file.

    Attributes:
        path: Path for opening it.
        folders: Names of the folders from the root to the file, as text.
    """

    path: Path
    folders: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the file, as text."""
        return readable(self.path.name)

    @property
    def suffix(self) -> str:
        """Suffix in lower case, with its dot."""
        return self.path.suffix.lower()

    @property
    def place(self) -> str:
        """Path below the root, as text."""
        return "/".join((*self.folders, self.name))


@dataclass
class Tree:
    """The files below a root.

    Attributes:
        root: Root folder.
        files: Regular files, sorted by path.
        system: Number of hidden and system entries that were passed over, by name.
        unreadable: Entries that cannot be opened, each with the reason.
        empty: Folders without any entry but those of systems.
    """

    root: Path
    files: list[File] = field(default_factory=list)
    system: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)
    empty: list[tuple[str, ...]] = field(default_factory=list)

    def notes(self) -> list[str]:
        """Say what was passed over."""
        if not self.system:
            return []
        names = ", ".join(name for name, _ in self.system.most_common(4)) + ", …" * (len(self.system) > 4)
        return [f"{self.system.total():,} hidden or system entries passed over: {names}"]


def scan(root: Path) -> Tree:
    """List the files below a folder. Links are followed.

    Raises:
        DataError: The folder cannot be opened, or a link leads back to a folder above it.
    """
    tree = Tree(root)
    try:
        status = root.stat()
    except OSError as error:
        raise DataError(f"{readable(str(root))}: {error.strerror}") from error
    _scan(tree, root, (), {(status.st_dev, status.st_ino)})
    tree.files.sort(key=lambda file: file.path.parts)
    return tree


def refuse_output_inside(out: Path, root: Path) -> None:
    """Refuse to write into a folder of data, whose classes are its folders.

    Raises:
        DataError: `out` lies in the folder.
    """
    if root.is_dir() and out.resolve().is_relative_to(root.resolve()):
        raise DataError(f"--out {out} lies in the data, whose classes are its folders: choose a folder elsewhere")


def refuse_git_lfs_pointer(path: Path) -> None:
    """Refuse what a clone without Git LFS has instead of a large file.

    Raises:
        DataError: The file is a pointer.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        begin = file.read(len(GIT_LFS_POINTER))
    if begin == GIT_LFS_POINTER:
        raise DataError(f"{readable(str(path))}: a Git LFS pointer, not the data; fetch it with: git lfs pull")


def _scan(tree: Tree, folder: Path, names: tuple[str, ...], above: set[tuple[int, int]]) -> None:
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        if not names:
            raise DataError(f"{readable(str(folder))}: {error.strerror}") from error
        tree.unreadable.append(f"{readable(str(folder))}: {error.strerror}")
        return
    if names and all(is_system_entry(readable(entry.name)) for entry in entries):
        tree.empty.append(names)
    for entry in entries:
        name = readable(entry.name)
        if is_system_entry(name):
            tree.system[name if not name.startswith("._") else "._…"] += 1
            continue
        path = folder / entry.name
        try:
            status = entry.stat()
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _loop(path) from error
            reason = "the link leads nowhere" if entry.is_symlink() else error.strerror
            tree.unreadable.append(f"{readable(str(path))}: {reason}")
            continue
        if stat.S_ISDIR(status.st_mode):
            own = (status.st_dev, status.st_ino)
            if own in above:
                raise _loop(path)
            if len(names) >= _MAX_DEPTH:
                tree.unreadable.append(f"{readable(str(path))}: more than {_MAX_DEPTH} folders deep")
                continue
            _scan(tree, path, (*names, name), above | {own})
        elif stat.S_ISREG(status.st_mode):
            tree.files.append(File(path, names))
        else:
            tree.unreadable.append(f"{readable(str(path))}: not a regular file")


def _loop(path: Path) -> DataError:
    return DataError(
        f"{readable(str(path))} is a loop of links: it leads to itself or to a folder above it. Remove the link"
    )
