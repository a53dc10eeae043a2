"""Published data sets in their own layouts. docs/data-sets.md says where to get them."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from fer_training.data.class_folders import ALL
from fer_training.data.dataset import FaceDataset
from fer_training.data.ferplus import read_ferplus
from fer_training.data.image_lists import ListedImage, read_listed
from fer_training.data.labels import FER2013_LABELS
from fer_training.data.named_files import read_ck_plus, read_kdef
from fer_training.data.names import split_in
from fer_training.data.table import Table, open_table
from fer_training.data.tree import File, Tree, refuse_git_lfs_pointer
from fer_training.errors import DataError

_RAF_DB: Final = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")  # 1 to 7
_AFFECTNET: Final = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")  # 0 to 7
_RAF_LISTS: Final = {"list_patition_label.txt", "list_partition_label.txt"}  # the first is its real name
_BOX_COLUMNS: Final = ("facex", "facey", "facewidth", "faceheight")


def read_raf_db(tree: Tree, size: int, in_memory_bytes: int) -> FaceDataset | None:
    """Read the basic set of RAF-DB: a list `train_00001.jpg 5`, and aligned or original images.

    Returns:
        The data set, or None if the folder has another layout.

    Raises:
        DataError: The list is invalid, or its images are missing.
    """
    lists = [file for file in tree.files if file.name.casefold() in _RAF_LISTS]
    if not lists:
        return None
    aligned = any(file.path.stem.endswith("_aligned") for file in tree.files)
    rows = []
    for number, fields in _lines(lists[0], 2):
        name, value = fields
        label = _class(value, _RAF_DB, 1, lists[0], number)
        stem = name.rpartition(".")[0]
        rows.append(ListedImage(f"{stem}_aligned.jpg" if aligned else name, label, split_in(stem) or ALL))
    notes = ["RAF-DB" + (", aligned images" if aligned else ", original images (whole photographs, not faces)")]
    return read_listed(tree.root, rows, [lists[0].path], size, in_memory_bytes, notes=notes, tree=tree)


def read_expw(tree: Tree, size: int, in_memory_bytes: int) -> FaceDataset | None:
    """Read ExpW: `label.lst` with a face per line, and photographs. Faces are cut out by their boxes.

    Returns:
        The data set, or None if the folder has another layout.

    Raises:
        DataError: The list is invalid, or its images are missing.
    """
    lists = [file for file in tree.files if file.name.casefold() == "label.lst"]
    if not lists:
        return None
    rows = []
    for number, fields in _lines(lists[0], 8):
        name, _, top, left, right, bottom, _, value = fields
        try:
            box = (max(int(left), 0), max(int(top), 0), int(right), int(bottom))
        except ValueError as error:
            raise DataError(f"{lists[0].place}, line {number}: {error}") from error
        rows.append(ListedImage(name, _class(value, FER2013_LABELS, 0, lists[0], number), ALL, box))
    return read_listed(tree.root, rows, [lists[0].path], size, in_memory_bytes, notes=["ExpW"], tree=tree)


def read_affectnet(tree: Tree, size: int, in_memory_bytes: int) -> FaceDataset | None:
    """Read AffectNet: `annotations/0_exp.npy` for `images/0.jpg`, or training.csv and validation.csv.

    Images without one of the eight emotions (None, Uncertain, No-Face) are left out and counted.

    Returns:
        The data set, or None if the folder has another layout.

    Raises:
        DataError: An annotation is invalid, or its images are missing.
    """
    annotations = [file for file in tree.files if file.path.name.endswith("_exp.npy")]
    tables = [] if annotations else [table for file in tree.files if (table := _affectnet_list(file))]
    if not annotations and not tables:
        return None
    skipped: Counter[str] = Counter()
    rows = _annotated(tree, annotations, skipped) + [row for table in tables for row in _listed(table, skipped)]
    notes = ["AffectNet"]
    if skipped:
        notes.append(f"{skipped.total():,} images without one of the eight emotions left out")
    lists = [file.path for file in annotations] or [table.path for table in tables]
    return read_listed(tree.root, rows, lists, size, in_memory_bytes, notes=notes, tree=tree)


def _annotated(tree: Tree, annotations: Sequence[File], skipped: Counter[str]) -> list[ListedImage]:
    images = {
        (file.folders[:-1], file.path.stem): file.place
        for file in tree.files
        if file.folders and file.folders[-1].casefold() == "images"
    }
    rows = []
    for file in annotations:
        try:
            refuse_git_lfs_pointer(file.path)
            value = str(np.load(file.path, allow_pickle=False).ravel()[0])
        except (OSError, ValueError, IndexError, EOFError) as error:
            raise DataError(f"{file.place}: not an expression of AffectNet: {error}") from error
        label = _affectnet_class(value, file.place)
        stem = file.path.stem.removesuffix("_exp")
        if label is None:
            skipped["images"] += 1
            continue
        split = next((split for name in reversed(file.folders) if (split := split_in(name))), ALL)
        rows.append(ListedImage(images.get((file.folders[:-1], stem), f"{stem}.jpg"), label, split))
    return rows


def _affectnet_list(file: File) -> Table | None:
    if file.suffix != ".csv":
        return None
    try:
        table = open_table(file.path)
    except DataError:  # another file, which need not concern this data set
        return None
    return table if "subdirectoryfilepath" in table.names and "expression" in table.names else None


def _listed(table: Table, skipped: Counter[str]) -> list[ListedImage]:
    name, expression = (table.names.index(column) for column in ("subdirectoryfilepath", "expression"))
    boxes = [table.names.index(column) for column in _BOX_COLUMNS if column in table.names]
    rows = []
    for line, row in table.rows():
        try:
            label = _affectnet_class(row[expression], f"{table.path.name}, line {line}")
            box = None
            if len(boxes) == len(_BOX_COLUMNS):
                left, top, width, height = (int(float(row[column])) for column in boxes)
                box = (max(left, 0), max(top, 0), left + width, top + height)
        except (ValueError, IndexError):
            label = None
        if label is None:
            skipped["images"] += 1
            continue
        rows.append(ListedImage(row[name], label, split_in(table.path.stem) or ALL, box))
    return rows


def _affectnet_class(value: str, where: str) -> str | None:
    text = value.strip()
    if not text.isdigit() or int(text) > 10:
        raise DataError(f"{where}: invalid expression {text!r}, must be 0 to 10")
    return _AFFECTNET[int(text)] if int(text) < len(_AFFECTNET) else None


def _lines(file: File, fields: int) -> list[tuple[int, list[str]]]:
    """Return number and fields of every line that is not blank."""
    try:
        refuse_git_lfs_pointer(file.path)
        lines = file.path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file.place}: cannot be read as text: {error}") from error
    rows = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]
    for number, row in rows:
        if len(row) != fields:
            raise DataError(f"{file.place}, line {number}: {len(row)} fields instead of {fields}")
    return rows


def _class(value: str, names: tuple[str, ...], first: int, file: File, line: int) -> str:
    if not value.isdigit() or not first <= int(value) < first + len(names):
        last = first + len(names) - 1
        raise DataError(f"{file.place}, line {line}: invalid label {value}, must be {first} to {last}")
    return names[int(value) - first]


ADAPTERS: Final[tuple[Callable[[Tree, int, int], FaceDataset | None], ...]] = (
    read_raf_db,
    read_expw,
    read_affectnet,
    read_ferplus,
    read_ck_plus,
    read_kdef,
)
