"""Selection of the data adapter for a path. docs/data-sets.md describes the layouts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fer_training.data import challenge_csv, folders, hugging_face, image_lists, parquet, published
from fer_training.data.dataset import FaceDataset
from fer_training.data.names import readable
from fer_training.data.table import LABEL, SPLIT, SUFFIXES, Table, open_table
from fer_training.data.tree import File, Tree, refuse_git_lfs_pointer, scan
from fer_training.errors import DataError


def load_dataset(path: Path, size: int, *, in_memory_bytes: int = folders.IN_MEMORY_BYTES) -> FaceDataset:
    """Read a data set in any layout that an adapter knows.

    Args:
        path: File or folder.
        size: Side in pixels to which images are resized. FER-2013 files keep 48 px.
        in_memory_bytes: Larger folders are read on demand (see `folders.read`).

    Raises:
        DataError: The path is missing, or its layout is unknown or invalid.
    """
    try:
        if not path.exists():
            raise DataError(f"{readable(str(path))}: file or folder not found")
        if path.is_dir():
            return _load_folder(scan(path), size, in_memory_bytes)
        if not path.is_file():
            raise DataError(f"{readable(str(path))}: not a regular file; write the data into a file first")
        return _load_file(path, size, in_memory_bytes)
    except OSError as error:
        raise DataError(f"{readable(str(path))}: {error.strerror or error}") from error


def _load_file(path: Path, size: int, in_memory_bytes: int) -> FaceDataset:
    kind = _kind(path)
    if kind == "parquet":
        if not hugging_face.is_arrow(path) and parquet.is_fer_2013(path):
            return parquet.read(path)
        return hugging_face.read_shards(path, [hugging_face.shard_of(path)], size)
    if kind == "csv":
        table = open_table(path)
        if image_lists.lists_images(table) and not challenge_csv.has_pixels(table):
            image_lists.refuse_boxes(table)
            return image_lists.read_list(path.parent, [table], size, in_memory_bytes)
        return challenge_csv.read(path)
    raise DataError(
        f"{readable(str(path))}: unknown format; give fer2013 as .parquet or .csv, or a folder with one folder "
        "per class. Unpack archives first"
    )


def _kind(path: Path) -> str | None:
    name = path.name.lower()
    refuse_git_lfs_pointer(path)
    with path.open("rb") as file:
        begin = file.read(6)
    if begin.startswith((b"PAR1", b"ARROW1")):
        return "parquet"
    if path.suffix.lower() in SUFFIXES or name.endswith((".csv.gz", ".tsv.gz")):
        return "csv"
    return "parquet" if path.suffix.lower() in hugging_face.SUFFIXES else None


def _load_folder(tree: Tree, size: int, in_memory_bytes: int) -> FaceDataset:
    for read in published.ADAPTERS:
        found = read(tree, size, in_memory_bytes)
        if found is not None:
            return _with_notes(found, tree)
    images, _ = folders.image_files(tree)
    readers: list[Callable[[], FaceDataset | None]] = [
        lambda: _image_folder(tree, images, size, in_memory_bytes),
        lambda: _shards(tree, images, size),
        lambda: _challenge(tree, images),
    ]
    for load in readers:
        found = load()
        if found is not None:
            return _with_notes(found, tree)
    try:
        found_folders = folders.read_tree(tree, size, in_memory_bytes)
        return replace(found_folders, notes=(*found_folders.notes, *_not_read(tree)))
    except DataError as error:
        tables = image_lists.describe_other_tables(tree)
        raise DataError(f"{error}. {tables}" if tables else str(error)) from error


def _not_read(tree: Tree) -> list[str]:
    """Name the files next to class folders that are data sets of their own."""
    names = [file.place for file in tree.files if _is_data_set(file)]
    if not names:
        return []
    return [f"not read, because folders name the classes: {', '.join(names[:3])}" + ", …" * (len(names) > 3)]


def _is_data_set(file: File) -> bool:
    try:
        if file.suffix in hugging_face.SUFFIXES:
            return hugging_face.have_images([hugging_face.shard_of(file.path)])
        if file.suffix in SUFFIXES - {".txt"} or image_lists.may_be_list(file):
            table = open_table(file.path)
            return challenge_csv.has_pixels(table) or image_lists.lists_images(table)
    except DataError:  # a file of something else
        return False
    return False


def _with_notes(data: FaceDataset, tree: Tree) -> FaceDataset:
    return replace(data, notes=(*tree.notes(), *data.notes), unreadable=(*tree.unreadable, *data.unreadable))


def _image_folder(tree: Tree, images: list[File], size: int, in_memory_bytes: int) -> FaceDataset | None:
    """Read the folder form of `load_dataset`: images, and metadata.csv or metadata.jsonl with their labels."""
    if not images or folders.has_emotions(images):
        return None
    may_be_classes = folders.has_classes(images)
    try:
        lists = image_lists.lists_of(tree)
        return image_lists.read_list(tree.root, lists, size, in_memory_bytes) if lists else None
    except image_lists.NoListedImage:
        if may_be_classes:
            return None
        raise


def _shards(tree: Tree, images: list[File], size: int) -> FaceDataset | None:
    if folders.has_emotions(images):
        return None
    may_be_classes = folders.has_classes(images)
    try:
        shards, others = hugging_face.shards_of(tree.files)
        if not shards or (may_be_classes and not hugging_face.have_images(shards)):
            return None
    except DataError:
        if may_be_classes:
            return None
        raise
    if len(shards) == 1 and not hugging_face.is_arrow(shards[0].path) and parquet.is_fer_2013(shards[0].path):
        found = parquet.read(shards[0].path)
    else:
        found = hugging_face.read_shards(tree.root, shards, size)
    return replace(found, notes=(*others, *found.notes))


def _challenge(tree: Tree, images: list[File]) -> FaceDataset | None:
    """Read the CSV files of the challenge from their folder: the one with all splits, else one per split."""
    if folders.has_emotions(images):
        return None
    files = [
        file for file in tree.files if file.suffix in SUFFIXES - {".txt"} or file.name.lower().endswith(".csv.gz")
    ]
    tables = [table for file in files if challenge_csv.has_pixels(table := open_table(file.path))]
    labelled = [table for table in tables if LABEL in table.columns]
    if not labelled:
        return None
    whole = [table for table in labelled if SPLIT in table.columns]
    if len(whole) > 1:
        raise DataError(f"{tree.root} has several data sets: {_listed(whole)}. Give one of these files")
    chosen = whole or labelled
    found = challenge_csv.read_several([table.path for table in chosen])
    others = [table for table in tables if table not in chosen]
    note = [f"read: {_listed(chosen)}" + (f"; passed over: {_listed(others)}" if others else "")]
    return replace(found, notes=(*note, *found.notes))


def _listed(tables: list[Table]) -> str:
    return ", ".join(readable(table.path.name) for table in tables)
