"""Which files the arguments of `fer-service predict` name."""

import contextlib
import glob
import mimetypes
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

from fer_service.contract.errors import UndecodableImage
from fer_service.contract.text import printable
from fer_service.imaging.encoded import check_format
from fer_service.imaging.foreign import foreign_content
from fer_service.system.entries import is_system_entry

STDIN: Final = Path("-")
# What a folder is searched for. A file that is named itself may have any suffix.
_IMAGES: Final = "avif bmp dib gif heic heif hif jfif jp2 jpe jpeg jpg jxl mpo pjpeg pjp png apng tif tiff webp"
_VIDEOS: Final = "3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ogv ts webm wmv"
MEDIA: Final = frozenset(f".{name}" for name in (_IMAGES + " " + _VIDEOS).split())
ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_HEAD_BYTES: Final = 1024
_UNFINISHED: Final = (".part", ".crdownload", ".tmp")  # downloads
_LONGER_SUFFIX: Final = re.compile(rf"\.({(_IMAGES + ' ' + _VIDEOS).replace(' ', '|')})[^a-z]", re.IGNORECASE)
_TYPES: Final = mimetypes.MimeTypes()  # without the files of the system, which differ


@dataclass(frozen=True)
class Sources:
    """The files to analyse.

    Attributes:
        files: Files in the order of the arguments, those of a folder sorted, each once.
        names: For each file its path below the folder that was named, or its name.
        passed_over: Number of files in the folders that are neither images nor videos.
        searched: Folders that were searched with their subfolders.
    """

    files: list[Path]
    names: list[Path]
    passed_over: int
    searched: tuple[Path, ...] = ()


def find_sources(words: Sequence[str], *, recursive: bool) -> Sources:
    """Find the files.

    Args:
        words: Files, folders, patterns such as "photos/*.jpg" (`**` matches folders), or - for standard input.
        recursive: Also search the subfolders of folders.

    Raises:
        typer.BadParameter: A pattern matches nothing, a folder has no images or videos, or a word is an address.
    """
    found: dict[Path, Path] = {}
    searched: list[Path] = []
    passed_over = 0
    for word in words:
        path = _path(word)
        if ADDRESS.match(word):
            raise typer.BadParameter(f"{printable(word)} is an address: save the image or record the video first")
        if os.path.isdir(path):  # noqa: PTH112 (for a name that is too long, Path raises)
            files = list(files_in(path, recursive=recursive))
            media = [file for file in files if is_media(file)]
            if not media:
                hint = "" if recursive else "; --recursive searches its subfolders"
                raise typer.BadParameter(f"{printable(path)} has no images or videos{hint}")
            passed_over += len(files) - len(media)
            searched += [path] * recursive
            for file in media:
                found.setdefault(file, file.relative_to(path))
        elif word == "-" or os.path.lexists(path) or not glob.has_magic(word):
            found.setdefault(STDIN if word == "-" else path, Path(path.name))  # reading it says what is missing
        else:
            matches = _matches(word)
            if not matches:
                raise typer.BadParameter(f"no file matches {printable(word)}")
            for file in matches:
                found.setdefault(file, Path(file.name))
    return Sources(list(found), list(found.values()), passed_over, tuple(searched))


def is_media(path: Path) -> bool:
    """Return True for a file of `files_in` that is an image or a video, and for a folder.

    A usual suffix decides. A file without one, or with more behind it, such as `photo.jpg_large`, is opened.
    """
    if path.suffix.lower() in MEDIA or os.path.isdir(path):  # noqa: PTH112
        return True
    if path.suffix.lower() in _UNFINISHED or (path.suffix and not _LONGER_SUFFIX.search(path.name)):
        return False
    begin = _begin(path)
    # Two letters say too little: a text may begin so.
    return (_is_image(begin) and not begin.startswith(b"BM")) or _is_video(begin)


def check_searchable(path: Path) -> None:
    """Raise the OSError for which a folder was not searched, if this is one of `files_in`."""
    if os.path.isdir(path):  # noqa: PTH112
        os.listdir(path)  # noqa: PTH208


def is_pipe(path: Path) -> bool:
    """Return True for a named pipe."""
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)  # noqa: PTH116 (for a name that is too long, Path raises)
    except (OSError, ValueError):
        return False


def is_video(path: Path) -> bool:
    """Return True if a file is a video by its content, or by its suffix if the content says nothing."""
    if path == STDIN:
        return False
    begin = _begin(path)
    if _is_image(begin):
        return False
    if foreign_content(begin):
        return _is_video(begin)
    return (_TYPES.guess_type(path.name)[0] or "").startswith("video/")


def _begin(path: Path) -> bytes:
    """Return the first bytes of a file, or none if it cannot be read."""
    # A pipe would give its bytes only once. For a name that is too long, Path raises.
    if os.path.isfile(path):  # noqa: PTH113
        with contextlib.suppress(OSError), path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    return b""


def _is_image(begin: bytes) -> bool:
    try:
        check_format(begin)
    except UndecodableImage:
        return False
    return True


def _is_video(begin: bytes) -> bool:
    foreign = foreign_content(begin)
    return foreign is not None and foreign.is_video


def _path(name: str) -> Path:
    """Return a path that is not taken for standard input."""
    path = Path(name)
    return path.absolute() if path == STDIN else path


def _matches(pattern: str) -> list[Path]:
    """Return the files that match, sorted. Links to folders are not followed, and hidden entries must be named."""
    parts = Path(pattern).parts
    first = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    base, hidden = Path(*parts[:first]), any(part.startswith(".") for part in parts[first:])
    try:
        found = sorted(base.glob(os.path.join(*parts[first:])))  # noqa: PTH118 (as text)
    except ValueError as error:
        raise typer.BadParameter(f"{printable(pattern)}: {error}") from error
    return [
        _path(str(path))
        for path in found
        if path.is_file() and (hidden or not any(part.startswith(".") for part in path.parts[len(base.parts) :]))
    ]


def files_in(folder: Path, *, recursive: bool) -> Iterator[Path]:
    """Yield the files of a folder, sorted, without hidden ones and those of systems (`is_system_entry`).

    Links to folders are followed, and each folder is searched once. A folder that cannot be searched is yielded
    itself: reading it says why.
    """
    waiting, searched = [folder], set[tuple[int, int]]()
    while waiting:
        current = waiting.pop()
        try:
            status = current.stat()
            names = sorted(name for name in os.listdir(current) if not is_system_entry(name))  # noqa: PTH208
        except OSError:
            yield current
            continue
        if (place := (status.st_dev, status.st_ino)) in searched:
            continue
        searched.add(place)
        folders = []
        for path in (current / name for name in names):
            # Unlike those of Path, these raise nothing where a link may not be followed.
            if os.path.isdir(path):  # noqa: PTH112
                folders.append(path)
            elif os.path.isfile(path) or not os.path.exists(path):  # noqa: PTH110, PTH113
                yield path  # a damaged link is reported when it is read; a pipe would be waited for
        if recursive:
            folders.sort(key=os.path.islink)  # a folder comes before the links to it
            waiting += reversed(folders)
