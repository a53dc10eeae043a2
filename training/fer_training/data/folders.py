"""One folder per class: `ROOT/<class>/…` or `ROOT/<split>/<class>/…`, with any folders above them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.encoded import check_format

from fer_training.data.class_folders import ALL, Place, places
from fer_training.data.dataset import FaceDataset
from fer_training.data.image_files import IN_MEMORY_BYTES, LabelledFile, read_files
from fer_training.data.names import is_emotion, readable
from fer_training.data.other_layouts import is_generic, refuse_other_layouts
from fer_training.data.tree import File, Tree, scan
from fer_training.errors import DataError

__all__ = ["ALL", "IN_MEMORY_BYTES", "image_files", "read", "read_tree"]
_LISTED: Final = 5
# Files with these suffixes are meant as images. What cannot be decoded is listed by name.
_SUFFIXES: Final = {
    *(
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".jfi",
        ".jif",
        ".pjpeg",
        ".pjp",
        ".png",
        ".apng",
        ".bmp",
        ".dib",
        ".webp",
    ),
    *(".gif", ".tif", ".tiff", ".avif", ".avifs", ".jp2", ".j2k", ".jpf", ".jpx", ".jpm", ".jxl", ".jxr", ".wdp"),
    *(".heic", ".heif", ".hif", ".svg", ".svgz", ".ico", ".cur", ".psd", ".xcf", ".tga", ".pcx", ".pbm", ".pgm"),
    *(".ppm", ".pnm", ".pfm", ".exr", ".hdr", ".dds", ".qoi", ".raw", ".arw", ".cr2", ".cr3", ".nef", ".dng"),
    *(".orf", ".raf", ".rw2", ".eps"),
}


def read(root: Path, size: int, in_memory_bytes: int = IN_MEMORY_BYTES) -> FaceDataset:
    """Read every image as an RGB square. Unreadable images are skipped and listed in `unreadable`.

    Args:
        root: Root folder.
        size: Side of the square in pixels. Other shapes are padded by repeating the border, as in the service.
        in_memory_bytes: Larger data sets are not kept in memory; each batch reads its files.

    Raises:
        DataError: The folder has no readable image in this layout, or is a data set of another kind.
    """
    return read_tree(scan(root), size, in_memory_bytes)


def read_tree(tree: Tree, size: int, in_memory_bytes: int = IN_MEMORY_BYTES) -> FaceDataset:
    """Read a folder that was scanned (see `read`)."""
    images, others = image_files(tree)
    try:
        found, notes = places(images)
    except DataError as error:
        raise DataError(f"{readable(str(tree.root))} {error}") from error
    refuse_other_layouts(tree, images, {place.label for place in found.values()})
    notes = [*tree.notes(), *notes, *_other_files(others), *_empty_classes(tree, found)]
    if not found:
        reason = tree.unreadable[0] if tree.unreadable else " ".join(notes)
        raise DataError(
            f"{readable(str(tree.root))}: no readable images as <class>/NAME.png or <split>/<class>/NAME.png"
            + (f"; {reason}" if reason else "")
        )
    files = [LabelledFile(file.path, place.split, place.label) for file, place in found.items()]
    return read_files(tree.root, files, size, in_memory_bytes, unreadable=tree.unreadable, notes=notes)


def image_files(tree: Tree) -> tuple[list[File], list[File]]:
    """Return the files that are images by name or by content, and all others."""
    images: list[File] = []
    others: list[File] = []
    for file in tree.files:
        (images if is_image(file) else others).append(file)
    return images, others


def is_image(file: File) -> bool:
    """Return True for an image by name or by content."""
    return file.suffix in _SUFFIXES or _has_image_format(file.path)


def has_emotions(images: Sequence[File]) -> bool:
    """Return True if folders of the images name emotions."""
    return any(map(is_emotion, _labels(images)))


def has_classes(images: Sequence[File]) -> bool:
    """Return True if the folders of the images may name several classes, or name an emotion."""
    labels = _labels(images)
    return any(map(is_emotion, labels)) or len([label for label in labels if not is_generic(label)]) > 1


def _labels(images: Sequence[File]) -> set[str]:
    try:
        return {place.label for place in places(images)[0].values()}
    except DataError:  # several data sets, which the reader of folders names
        return {name for file in images for name in file.folders}


def _has_image_format(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            begin = file.read(64)
        check_format(begin)
    except (OSError, UndecodableImage):
        return False
    # Two letters are little: a text may begin with BM too. Bytes 6 to 9 of a BMP are reserved, and 0.
    return not begin.startswith(b"BM") or begin[6:10] == bytes(4)


def _other_files(others: Sequence[File]) -> list[str]:
    if not others:
        return []
    suffixes = Counter(file.suffix or "without suffix" for file in others).most_common()
    named = ", ".join(f"{count:,} {readable(suffix)}" for suffix, count in suffixes[:_LISTED])
    return [f"{len(others):,} other files passed over: {named}" + ", …" * (len(suffixes) > _LISTED)]


def _empty_classes(tree: Tree, found: dict[File, Place]) -> list[str]:
    labels = {place.label for place in found.values()}
    empty = ["/".join(names) for names in tree.empty]
    new = [names[-1] for names in tree.empty if names[-1] not in labels]
    if not empty:
        return []
    note = f"{len(empty):,} empty folders: {', '.join(empty[:_LISTED])}" + ", …" * (len(empty) > _LISTED)
    return [note + (f". Without images there is no class {', '.join(dict.fromkeys(new))}" if new else "")]
