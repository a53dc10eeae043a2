"""Paths of the annotated copies of files."""

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Final

from fer_service.cli.sources import Sources
from fer_service.contract.errors import ResultsError
from fer_service.contract.text import printable
from fer_service.system.files import FileIds, fits_a_name, name_of_its_own

_IMAGES: Final = frozenset({".jpg", ".jpeg", ".png"})
_FILES: Final = _IMAGES | {".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".mp4", ".mov", ".mkv", ".webm"}


def copy_paths(place: Path, sources: Sources, videos: Collection[Path]) -> dict[Path, Path]:
    """Return the path of each file's copy.

    The copy of a .jpg, .jpeg, .png or .mp4 file has its name. That of another image is named like `a.webp.jpg`,
    that of another video like `a.mov.mp4`. Copies that would have the same name all get a hash. So a run that is
    continued with more files replaces no copy of a file that it skips.

    Args:
        place: Folder for all copies, in which those of a folder's files keep its subfolders. For a single image
            it may be the file to write.
        sources: The files.
        videos: Those that are videos.

    Raises:
        ResultsError: The place is a file for several copies. A copy would lie in a folder of originals and could
            replace one, its name is a link, or it would lie in a folder that is searched, so that the next run
            would take it for an original.
    """
    files = FileIds(sources.files)
    if place.suffix.lower() in _FILES and not place.is_dir():
        if len(sources.files) > 1 or videos or place.suffix.lower() not in _IMAGES:
            raise ResultsError(
                f"--annotate {printable(place)}: give a folder for the copies, or for a single image "
                "a .jpg or .png file"
            )
        _refuse_link(place, files)
        return {sources.files[0]: place}
    for searched in sources.searched:
        if Path(os.path.realpath(place)).is_relative_to(os.path.realpath(searched)):
            raise ResultsError(
                f"--annotate: {printable(place)} lies in {printable(searched)}, whose subfolders are searched, "
                "and the next run would take the copies for originals: give a folder elsewhere"
            )
    # Also those that links name.
    originals = {os.path.realpath(file.parent) for file in sources.files}
    originals |= {str(Path(os.path.realpath(file)).parent) for file in sources.files}
    named = {
        file: place / _copy_name(name, is_a_video=file in videos)
        for file, name in zip(sources.files, sources.names, strict=True)
        if not os.path.isdir(file)  # noqa: PTH112 (a folder that cannot be searched)
    }
    # Some file systems take both cases for one.
    counts = Counter(str(copy).casefold() for copy in named.values())
    copies: dict[Path, Path] = {}
    for file, first in named.items():
        copy = first
        if counts[str(first).casefold()] > 1 or not fits_a_name(first.name):
            copy = name_of_its_own(file, first, counts)
        if os.path.realpath(copy.parent) in originals:
            raise ResultsError(
                f"--annotate: {printable(copy.parent)} holds files to analyse, and a copy could replace one: "
                "give another folder"
            )
        _refuse_link(copy, files)
        copies[file] = copy
    return copies


def copy_of_video(place: Path, sources: Sources) -> Path:
    """Return the file to write for a single video: the given one, or one in the given folder, which is made.

    Raises:
        ResultsError: See `copy_paths`.
    """
    if place.suffix and not place.is_dir():
        return place
    copy = copy_paths(place, sources, sources.files)[sources.files[0]]
    copy.parent.mkdir(parents=True, exist_ok=True)
    return copy


def _copy_name(name: Path, *, is_a_video: bool) -> Path:
    if name.suffix.lower() in ({".mp4"} if is_a_video else _IMAGES):
        return name
    return name.with_name(name.name + (".mp4" if is_a_video else ".jpg"))


def _refuse_link(copy: Path, files: FileIds) -> None:
    if copy in files or copy.is_symlink():
        raise ResultsError(
            f"--annotate: {printable(copy)} is a link, or a file to analyse, and a copy would replace it: give "
            "another place"
        )
