"""Layouts that have no class folders: detection sets and flat folders. They are refused by their name."""

import re
from collections.abc import Sequence
from typing import Final

from fer_training.data.names import readable
from fer_training.data.tree import File, Tree
from fer_training.errors import DataError

_GENERIC: Final = {
    *("images", "image", "img", "imgs", "pictures", "photos", "jpegimages", "pngimages", "labels", "label"),
    *("annotations", "masks", "data", "dataset", "crops", "faces", "obj_train_data", "input", "inputs", "raw"),
}
_BOX_LINE: Final = re.compile(rb"\A\s*\d+([^\S\n]+-?[\d.]+(e-?\d+)?){4,}\s*(\n|\Z)", re.IGNORECASE)
_WAY_OUT: Final = "Cut out the faces and put them into one folder per class: <split>/<class>/NAME.png"


def is_generic(label: str) -> bool:
    """Return True for folder names such as `images`, which name no class."""
    return label.casefold() in _GENERIC


def refuse_other_layouts(tree: Tree, images: Sequence[File], labels: set[str]) -> None:
    """Refuse a detection set, whose folders would be taken for classes.

    Args:
        tree: All files.
        images: The image files among them.
        labels: Names of the folders that would be classes.

    Raises:
        DataError: The folders name no classes.
    """
    if not all(map(is_generic, labels)):
        return
    root = readable(str(tree.root))
    kind = _detection_format(tree, images)
    if kind:
        raise DataError(f"{root} looks like {kind}. It has boxes, but no class folders. {_WAY_OUT}")
    if labels:
        raise DataError(
            f"{root}: the only folder with images is {', '.join(sorted(labels))}, which is the name of no class. "
            "Put the images into one folder per class: <class>/NAME.png or <split>/<class>/NAME.png"
        )


def _detection_format(tree: Tree, images: Sequence[File]) -> str | None:
    stems = {(file.folders, file.path.stem) for file in images}
    for file in tree.files:
        folders = {name.casefold() for name in file.folders}
        beside = (file.folders, file.path.stem) in stems
        if file.suffix == ".txt" and ("labels" in folders or beside) and begins_with(file, _BOX_LINE):
            return f"a YOLO detection set ({file.place} has boxes)"
        if file.suffix in {".yaml", ".yml"} and begins_with(file, re.compile(rb"(?m)^(nc|names|train)\s*:")):
            return f"a YOLO detection set ({file.place})"
        if file.suffix == ".json" and begins_with(
            file, re.compile(rb'"(annotations|categories|images|info)"\s*:')
        ):
            return f"a COCO detection set ({file.place})"
        if file.suffix == ".xml" and begins_with(file, re.compile(rb"<annotation\b")):
            return f"a Pascal VOC detection set ({file.place})"
    if any("labels" in {name.casefold() for name in file.folders} for file in tree.files):
        return "a YOLO detection set (it has folders images and labels)"
    return None


def begins_with(file: File, pattern: re.Pattern[bytes]) -> bool:
    """Return True if the pattern is in the first 4,096 bytes."""
    try:
        with file.path.open("rb") as opened:
            return bool(pattern.search(opened.read(4096)))
    except OSError:
        return False
