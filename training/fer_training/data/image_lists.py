"""Image files whose classes are in a list: metadata.csv or metadata.jsonl of `load_dataset`, or a CSV file."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from fer_training.data.class_columns import class_columns, largest_class
from fer_training.data.class_folders import ALL
from fer_training.data.dataset import FaceDataset
from fer_training.data.folders import is_image
from fer_training.data.image_files import LabelledFile, read_files
from fer_training.data.images import Box
from fer_training.data.names import readable, split_in, split_name
from fer_training.data.table import FILE, LABEL, SPLIT, Table, column_key, open_table
from fer_training.data.tree import File, Tree, refuse_git_lfs_pointer, scan
from fer_training.errors import DataError

_SUFFIXES: Final = {".csv", ".tsv"}
_BOX: Final = {"xmin", "ymin", "xmax", "ymax"}
_WHOLE_NUMBER: Final = re.compile(r"^(\d+)\.0+$")  # a whole number, as pandas writes a column with gaps


@dataclass(frozen=True)
class ListedImage:
    """A row of a list: name of the image file, class, split, and the face if it is not the whole image."""

    name: str
    label: str
    split: str
    box: Box | None = None


def lists_of(tree: Tree) -> list[Table | File]:
    """Return the CSV and JSON Lines files that list images with labels."""
    found: list[Table | File] = []
    boxes: list[Table] = []
    for file in tree.files:
        if file.suffix == ".jsonl":
            found.append(file)
        elif file.suffix in _SUFFIXES:
            table = open_table(file.path)
            if lists_images(table):
                (boxes if set(table.names) >= _BOX else found).append(table)
    if boxes and not found:
        refuse_boxes(boxes[0])
    return found


def lists_images(table: Table) -> bool:
    """Return True if a table has a column of files, and one of labels or one per class."""
    return FILE in table.columns and (LABEL in table.columns or bool(class_columns(table)))


def refuse_boxes(table: Table) -> None:
    """Refuse a list of boxes, whose rows are no images.

    Raises:
        DataError: It is one.
    """
    if set(table.names) >= _BOX:
        raise DataError(
            f"{readable(str(table.path))} lists boxes ({', '.join(sorted(_BOX))}), as detection sets do. Cut out "
            "the faces and put them into one folder per class: <split>/<class>/NAME.png"
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
    labelled = [row for row in rows if row.label]
    notes = [f"{len(rows) - len(labelled):,} rows without a label left out"] if len(labelled) < len(rows) else []
    notes += [
        f"{readable(source.path.name)}: the class is the largest of {', '.join(classes)}"
        for source in lists
        if isinstance(source, Table) and (classes := class_columns(source))
    ]
    if len(lists) > 1:
        notes.append(f"lists that are read: {', '.join(readable(source.path.name) for source in lists)}")
    return read_listed(root, labelled, [source.path for source in lists], size, in_memory_bytes, notes=notes)


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
    """Read listed images. A row names a file by its path, or by the end of its path if that is unique.

    Args:
        root: Folder that holds all images.
        rows: The images.
        lists: Files with the labels; they count in the SHA-256.
        size: Side of the squares in pixels.
        in_memory_bytes: Larger data sets are not kept in memory (see `read_files`).
        notes: Sentences for the user.
        tree: The scanned root; None scans it.

    Raises:
        DataError: No listed image can be read.
    """
    present = (tree or scan(root)).files
    by_name = _by_end_of_path(present)
    files: list[LabelledFile] = []
    missing: list[str] = []
    strip = _leading_folders(rows, by_name)
    for row in rows:
        path = by_name.get(_clean(row.name, strip))
        if path is None:
            missing.append(f"{row.name}: listed in {readable(lists[0].name)}, but missing or not unique")
        else:
            files.append(LabelledFile(path, row.split, row.label, row.box))
    if not files:
        raise DataError(
            f"{readable(str(root))}: none of the {len(rows):,} images listed in {readable(lists[0].name)} is there"
            + (f", for example {rows[0].name}" if rows else "")
        )
    listed = {file.path for file in files}
    notes = [*notes, *_unlisted([file for file in present if file.path not in listed])]
    return read_files(
        root, files, size, in_memory_bytes, unreadable=missing, notes=tuple(notes), annotations=lists
    )


def _unlisted(files: Sequence[File]) -> list[str]:
    images = [file for file in files if is_image(file)]
    if not images:
        return []
    named = ", ".join(file.place for file in images[:3]) + ", …" * (len(images) > 3)
    return [f"{len(images):,} images passed over, because no list names them: {named}"]


def _by_end_of_path(files: Sequence[File]) -> dict[str, Path]:
    """Return the files by every end of their paths that belongs to one file only; whole paths come first."""
    found: dict[str, Path] = {}
    # Some lists leave the suffix out. Then `a.png` is meant, and not `a.txt` beside it.
    for name_of, named in ((_stem, [file for file in files if is_image(file)]), (_place, files)):
        ends = Counter(end for file in named for end in _ends(name_of(file)))
        found |= {end: file.path for file in named for end in _ends(name_of(file)) if ends[end] == 1}
    return found | {file.place: file.path for file in files}


def _place(file: File) -> str:
    return file.place


def _stem(file: File) -> str:
    return file.place.removesuffix(file.path.suffix)


def _ends(place: str) -> Iterator[str]:
    parts = place.split("/")
    return ("/".join(parts[start:]) for start in range(len(parts)))


def _leading_folders(rows: Sequence[ListedImage], by_name: dict[str, Path]) -> int:
    """Return how many folders the names begin with that are not here, such as those of another machine."""
    some = rows[:200]
    depth = max((_clean(row.name).count("/") for row in some), default=0)
    return next(
        (strip for strip in range(depth + 1) if any(_clean(row.name, strip) in by_name for row in some)), 0
    )


def _clean(name: str, strip: int = 0) -> str:
    parts = PurePosixPath(readable(name).strip().replace("\\", "/")).parts
    return "/".join([part for part in parts if part not in (".", "/")][strip:])


def _table_rows(table: Table, root: Path) -> Iterator[ListedImage]:
    folders = "/".join(table.path.relative_to(root).parts[:-1])
    own_split = split_in(table.path.stem) or split_in(folders.rsplit("/", 1)[-1])
    classes = class_columns(table)
    for line, row in table.rows():
        try:
            name = row[table.columns[FILE]]
            label = largest_class(row, classes) if classes else row[table.columns[LABEL]]
            split = row[table.columns[SPLIT]].strip() if SPLIT in table.columns else ""
        except IndexError as error:
            raise DataError(f"{table.path}, line {line}: fields are missing") from error
        except ValueError as error:
            raise DataError(f"{table.path}, line {line}: {error}") from error
        label = _WHOLE_NUMBER.sub(r"\1", readable(label).strip())
        in_folder = f"{folders}/{name}" if folders else name
        yield ListedImage(in_folder, label, _split(split, own_split, name))


def _json_rows(file: File) -> Iterator[ListedImage]:
    folders = "/".join(file.folders)
    own_split = split_in(file.path.stem) or (split_in(file.folders[-1]) if file.folders else None)
    try:
        refuse_git_lfs_pointer(file.path)
        lines = file.path.read_text(encoding="utf-8-sig").splitlines()
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
        label = next((row[key] for key in ("label", "emotion", "expression", "class") if key in row), None)
        if not isinstance(name, str) or isinstance(label, dict | list):
            raise DataError(f"{file.place}, line {number}: file_name and label are required")
        in_folder = f"{folders}/{name}" if folders else name
        text = "" if label is None else readable(str(label))
        yield ListedImage(in_folder, text, _split(str(row.get("split") or ""), own_split, name))


def _split(value: str, own: str | None, name: str) -> str:
    """Return the split of a row: its own value, that of the list, or a folder in the image's name."""
    if value:
        return split_name(value) or readable(value)
    folders = _clean(name).split("/")[:-1]
    return own or next((split for folder in folders if (split := split_name(folder))), ALL)
