"""Image files whose classes are in a list: metadata.csv or metadata.jsonl of `load_dataset`, or a CSV file."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from fer_training.data.class_columns import class_columns, largest_class
from fer_training.data.class_folders import ALL
from fer_training.data.dataset import FaceDataset
from fer_training.data.folders import is_image
from fer_training.data.image_files import LabelledFile, read_files
from fer_training.data.images import Corners
from fer_training.data.labels import only_label
from fer_training.data.names import is_missing, readable, split_in, split_key, split_name
from fer_training.data.other_layouts import begins_with
from fer_training.data.split_columns import flagged_split, is_flag, split_by_flags
from fer_training.data.table import FILE, LABEL, Table, column_key, open_table
from fer_training.data.tree import File, Tree, refuse_git_lfs_pointer, scan
from fer_training.errors import DataError

_SUFFIXES: Final = {".csv", ".tsv"}
_IMAGE_LINE: Final = re.compile(
    rb"\A([^\n]*\n)?[^\n]*\w\.(jpe?g|png|bmp|webp|gif|tiff?)[\"']?[ \t,;|]+[^\s]", re.IGNORECASE
)
_LISTED: Final = 8
_BOXES: Final = (
    *({"xmin", "ymin", "xmax", "ymax"}, {"x", "y", "w", "h"}, {"x", "y", "width", "height"}),
    *({"x1", "y1", "x2", "y2"}, {"left", "top", "right", "bottom"}, {"bbox"}),
)
_JSON_LABELS: Final = (
    *("emotion", "emotions", "emotionlabel", "emotionname", "expression"),
    *("label", "labels", "labelname", "class", "classname", "target"),
)
_ANSWERS: Final = "sample_submission"  # of a competition: made-up labels for the images of the test
_METADATA: Final = "metadata.jsonl"  # of `load_dataset`
_WHOLE_NUMBER: Final = re.compile(r"^(\d+)\.0+$")  # a whole number, as pandas writes a column with gaps


class NoListedImage(DataError):
    """None of the images of a list is there: it may be a list of something else."""


@dataclass(frozen=True)
class ListedImage:
    """A row of a list.

    Attributes:
        name: Name of the image file.
        label: Class; empty for a row without one.
        split: Split.
        box: The face, if it is not the whole image.
        source: Name of the list.
    """

    name: str
    label: str
    split: str
    box: Corners | None = None
    source: str = ""


def lists_of(tree: Tree) -> list[Table | File]:
    """Return the CSV and JSON Lines files that list images with labels."""
    found: list[Table | File] = []
    boxes: list[Table] = []
    for file in tree.files:
        if file.name.casefold().startswith(_ANSWERS):
            continue
        if file.suffix == ".jsonl" and (file.name.casefold() == _METADATA or _begins_with_an_image(file)):
            found.append(file)
        elif may_be_list(file):
            table = open_table(file.path)
            if lists_images(table):
                (boxes if has_boxes(table) else found).append(table)
    if boxes and not found:
        refuse_boxes(boxes[0])
    return found


def may_be_list(file: File) -> bool:
    """Return True for CSV files, and for texts whose first or second line is the name of an image and more."""
    return file.suffix in _SUFFIXES or (file.suffix == ".txt" and begins_with(file, _IMAGE_LINE))


def lists_images(table: Table) -> bool:
    """Return True if a table has a column of files, and one of labels or one per class."""
    return FILE in table.columns and (LABEL in table.columns or bool(class_columns(table)))


def has_boxes(table: Table) -> bool:
    """Return True if the rows are boxes in images, and not images."""
    return any(set(table.names) >= box for box in _BOXES)


def refuse_boxes(table: Table) -> None:
    """Refuse a list of boxes, whose rows are not images.

    Raises:
        DataError: It is one.
    """
    if has_boxes(table):
        raise DataError(
            f"{readable(str(table.path))} lists boxes ({', '.join(table.titles)}), as detection sets do. Cut out "
            "the faces and put them into one folder per class: <split>/<class>/NAME.png"
        )


def describe_other_tables(tree: Tree) -> str:
    """Return a sentence about the tables of a folder that list no images; empty if there are none."""
    tables: list[Table] = []
    for file in tree.files:
        if may_be_list(file):
            with suppress(DataError):  # a damaged one says nothing about the images
                tables.append(open_table(file.path))
    named = [
        f"{readable(table.path.name)} has the columns {', '.join(table.titles[:_LISTED])}" for table in tables
    ]
    if not named:
        return ""
    return (
        f"{'; '.join(named[:2])}. A list needs one column for the file (file_name, image, path) and one for the "
        "class (label, emotion), or one per class"
    )


def read_list(root: Path, lists: Sequence[Table | File], size: int, in_memory_bytes: int) -> FaceDataset:
    """Read the images of one or more lists.

    Args:
        root: Folder that holds all images.
        lists: CSV tables, or JSON Lines files with `file_name` and `label`.
        size: Side of the squares in pixels.
        in_memory_bytes: Larger data sets are not kept in memory (see `read_files`).

    Raises:
        DataError: A list is invalid, or no listed image can be read.
    """
    rows: list[ListedImage] = []
    for source in lists:
        rows += _table_rows(source, root) if isinstance(source, Table) else _json_rows(source)
    notes = [
        f"{readable(source.path.name)}: the class is the largest of {', '.join(classes)}"
        for source in lists
        if isinstance(source, Table) and (classes := class_columns(source))
    ]
    notes += dict.fromkeys(note for table in lists if isinstance(table, Table) for note in table.split_notes())
    if len(lists) > 1:
        notes.append(f"lists that are read: {', '.join(readable(source.path.name) for source in lists)}")
    return read_listed(root, rows, [source.path for source in lists], size, in_memory_bytes, notes=notes)


def read_listed(
    root: Path,
    rows: Sequence[ListedImage],
    lists: Sequence[Path],
    size: int,
    in_memory_bytes: int,
    *,
    notes: Iterable[str] = (),
    tree: Tree | None = None,
) -> FaceDataset:
    """Read listed images. A row names a file by its path, or by an end of it that is unique in its split.

    Args:
        root: Folder that holds all images.
        rows: The images. Those without a label are left out and counted.
        lists: Files with the labels; they count in the SHA-256.
        size: Side of the squares in pixels.
        in_memory_bytes: Larger data sets are not kept in memory (see `read_files`).
        notes: Sentences for the user.
        tree: The scanned root; None scans it.

    Raises:
        DataError: No listed image can be read, or lists contradict each other.
    """
    present = (tree or scan(root)).files
    by_name = _by_end_of_path(present)
    by_letters = _by_letters(by_name)
    of_split = _by_split(present)
    found: list[tuple[Path, ListedImage]] = []
    first: dict[tuple[Path, Corners | None], int] = {}
    missing: list[str] = []
    repeated = 0
    ends: set[str] = set()
    strip = _leading_folders(rows, by_letters)
    for row in rows:
        name = _clean(row.name, strip)
        path = (
            of_split.get(split_key(row.split), {}).get(name)
            or by_name.get(name)
            or by_letters.get(name.casefold())
        )
        if path is None:
            ends = ends or {end for file in present for of in (_place, _stem) for end in _ends(of(file))}
            why = "several files have this name" if name in ends else "there is no such file"
            missing.append(f"{row.name}: listed in {row.source or readable(lists[0].name)}, but {why}")
            continue
        index = first.setdefault((path, row.box), len(found))
        other = found[index][1] if index < len(found) else row
        _refuse_contradiction(other, row)
        if other is not row and _clean(other.name) != _clean(row.name) and other.source == row.source:
            raise DataError(
                f"{row.source}: {other.name} and {row.name} are both read as {readable(str(path))}, because the "
                "folders of the list are missing: keep the images in their folders, or write their present names"
            )
        if other is not row and (other.label, other.split, other.source) == (row.label, row.split, row.source):
            repeated += 1
        elif other is row or other.source == row.source:
            found.append((path, row))
        elif other.split == ALL:
            found[index] = (path, row)
    files = [LabelledFile(path, row.split, row.label, row.box) for path, row in found if row.label]
    if not found:
        raise NoListedImage(
            f"{readable(str(root))}: none of the {len(rows):,} images listed in {readable(lists[0].name)} is there"
            + (f", for example {rows[0].name}" if rows else "")
        )
    unlabelled = sum(not row.label for row in rows)
    if unlabelled:
        notes = [f"{unlabelled:,} rows without a label left out", *notes]
    if repeated:
        notes = [f"{repeated:,} rows that repeat another one left out", *notes]
    listed = {path for path, _ in found}
    notes = [*notes, *_unlisted([file for file in present if file.path not in listed])]
    return read_files(
        root, files, size, in_memory_bytes, unreadable=missing, notes=tuple(notes), annotations=lists
    )


def _refuse_contradiction(first: ListedImage, second: ListedImage) -> None:
    """Refuse an image that is in two splits, or in two lists with different classes."""
    if ALL not in (first.split, second.split) and first.split != second.split:
        what = f"in the split {first.split} ({first.source}) and in {second.split} ({second.source})"
    elif first.source != second.source and first.label and second.label and first.label != second.label:
        what = f"{first.label} in {first.source} and {second.label} in {second.source}"
    else:
        return
    raise DataError(f"the image {first.name} is {what}: remove one of the rows, or give one of the lists")


def _begins_with_an_image(file: File) -> bool:
    try:
        with file.path.open(encoding="utf-8-sig") as opened:
            row = json.loads(opened.readline())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(row, dict) and "filename" in {column_key(str(key)) for key in row}


def _by_split(files: Sequence[File]) -> dict[str, dict[str, Path]]:
    """Return, by split, the files in folders of its name (see `_by_end_of_path`)."""
    found: dict[str, list[File]] = defaultdict(list)
    for file in files:
        for key in {split_key(folder) for folder in file.folders if split_name(folder)}:
            found[key].append(file)
    return {key: _by_end_of_path(own) for key, own in found.items()}


def _unlisted(files: Sequence[File]) -> list[str]:
    images = [file for file in files if is_image(file)]
    if not images:
        return []
    named = ", ".join(file.place for file in images[:3]) + ", …" * (len(images) > 3)
    return [f"{len(images):,} images passed over, because no list names them: {named}"]


def _by_end_of_path(files: Sequence[File]) -> dict[str, Path]:
    """Return the files by every end of their paths that belongs to one file only; whole paths come first."""
    found: dict[str, Path] = {}
    # Some lists leave the suffix out. Then `a.png` is meant, and not `a.txt` in the same folder.
    for name_of, named in ((_stem, [file for file in files if is_image(file)]), (_place, files)):
        ends = Counter(end for file in named for end in _ends(name_of(file)))
        found |= {end: file.path for file in named for end in _ends(name_of(file)) if ends[end] == 1}
    return found | {file.place: file.path for file in files}


def _by_letters(by_name: dict[str, Path]) -> dict[str, Path]:
    """Return the files by names in small letters, where these name one file: on Windows they are the same."""
    found: dict[str, Path] = {}
    several = set()
    for name, path in by_name.items():
        if found.setdefault(name.casefold(), path) != path:
            several.add(name.casefold())
    return {name: path for name, path in found.items() if name not in several}


def _place(file: File) -> str:
    return file.place


def _stem(file: File) -> str:
    return file.place.removesuffix(file.path.suffix)


def _ends(place: str) -> Iterator[str]:
    parts = place.split("/")
    return ("/".join(parts[start:]) for start in range(len(parts)))


def _leading_folders(rows: Sequence[ListedImage], by_letters: dict[str, Path]) -> int:
    """Return how many folders the names begin with that are not here, such as those of another machine."""
    some = rows[:200]
    depth = max((_clean(row.name).count("/") for row in some), default=0)
    return next(
        (
            strip
            for strip in range(depth + 1)
            if any(_clean(row.name, strip).casefold() in by_letters for row in some)
        ),
        0,
    )


def _clean(name: str, strip: int = 0) -> str:
    parts = PurePosixPath(readable(name).strip().replace("\\", "/")).parts
    return "/".join([part for part in parts if part not in (".", "/")][strip:])


def _table_rows(table: Table, root: Path) -> Iterator[ListedImage]:
    folders = "/".join(table.path.relative_to(root).parts[:-1])
    own_split = split_in(table.path.stem) or split_in(folders.rsplit("/", 1)[-1])
    classes, source = class_columns(table), "/".join((*filter(None, [folders]), readable(table.path.name)))
    for line, row in table.rows():
        try:
            name = row[table.columns[FILE]]
            label = largest_class(row, classes, table) if classes else only_label(row[table.columns[LABEL]])
            split = table.split_of(row)
        except IndexError as error:
            raise DataError(f"{table.path}, line {line}: fields are missing") from error
        except ValueError as error:
            raise DataError(f"{table.path}, line {line}: {error}") from error
        label = _WHOLE_NUMBER.sub(r"\1", readable(label).strip())
        label = "" if is_missing(label) else label
        in_folder = f"{folders}/{name}" if folders else name
        yield ListedImage(in_folder, label, _split(split, own_split, name), source=source)


def _json_rows(file: File) -> Iterator[ListedImage]:
    folders = "/".join(file.folders)
    own_split = split_in(file.path.stem) or (split_in(file.folders[-1]) if file.folders else None)
    try:
        refuse_git_lfs_pointer(file.path)
        lines = file.path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file.place}: cannot be read as text: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = {column_key(str(key)): value for key, value in json.loads(line).items()}
        except (ValueError, AttributeError, RecursionError) as error:
            raise DataError(f"{file.place}, line {number}: not a JSON object: {error}") from error
        name = row.get("filename")
        try:
            label = only_label(next((row[key] for key in _JSON_LABELS if key in row), None))
        except ValueError as error:
            raise DataError(f"{file.place}, line {number}: {error}") from error
        if not isinstance(name, str):
            raise DataError(f"{file.place}, line {number}: file_name and label are required")
        in_folder = f"{folders}/{name}" if folders else name
        text = "" if label is None or is_missing(str(label)) else _WHOLE_NUMBER.sub(r"\1", readable(str(label)))
        flags = {key: value for key, value in row.items() if is_flag(value) and flagged_split(key)}
        split = str(row.get("split") or "") or (split_by_flags(flags) if flags else "")
        yield ListedImage(in_folder, text, _split(split, own_split, name), source=file.place)


def _split(value: str, own: str | None, name: str) -> str:
    """Return the split of a row: its own value, that of the list, or a folder in the image's name."""
    if value:
        return split_name(value) or readable(value)
    folders = _clean(name).split("/")[:-1]
    return own or next((split for folder in folders if (split := split_name(folder))), ALL)
