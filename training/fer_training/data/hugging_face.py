"""Data sets of the `datasets` library: parquet or Arrow files with a column of images and one of labels.

Images are encoded files, alone or as {bytes, path}; labels are words, or numbers with the names of a ClassLabel.
One file or many hold a split, whose name is in the file's name, in a folder's name, or in a column.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow
import pyarrow.ipc
import pyarrow.parquet
from fer_service.system.files import file_sha256
from numpy.typing import NDArray

from fer_training.data.cells import LabelNames, image_of
from fer_training.data.class_folders import ALL
from fer_training.data.columns import Columns, class_names, find_columns, has_images, text_columns
from fer_training.data.dataset import FaceDataset
from fer_training.data.image_files import IN_MEMORY_BYTES, refuse_many_classes
from fer_training.data.names import readable, split_in, split_name
from fer_training.data.split_columns import split_by_flags, split_notes
from fer_training.data.tree import File, refuse_git_lfs_pointer
from fer_training.errors import DataError

SUFFIXES: Final = {".parquet", ".arrow", ".feather"}
_BATCH: Final = 256
# The number of a shard, with what Spark writes behind it; values of partitioned folders (`fold=1/`).
_NUMBER: Final = re.compile(
    r"[-_.]?(\d{4,}|(?<=part)\d+|\d+[-_]of[-_]\d+)([-_][0-9a-f-]+)?([-_]c\d+)?(\.(snappy|gz|zstd))?$|(?<==)[^/]+"
)


@dataclass(frozen=True)
class Shard:
    """A file of a data set.

    Attributes:
        path: Path of the file.
        place: Path below the data set's folder, as text.
        split: Split that the names of file and folders give.
    """

    path: Path
    place: str
    split: str


def shards_of(files: Sequence[File]) -> tuple[list[Shard], list[str]]:
    """Return the parquet and Arrow files of a folder, without the caches of the library, and notes for the user.

    Files without images, such as predictions, are passed over if there are others.
    """
    found = [
        Shard(file.path, file.place, _split((*file.folders, file.path.stem)))
        for file in files
        if file.suffix in SUFFIXES and not file.name.startswith("cache-")
    ]
    chosen = [shard for shard in found if has_images(_schema(shard))] or found
    others = ", ".join(shard.place for shard in found if shard not in chosen)
    notes = [f"passed over, because they have no images and labels: {others}"] if others else []
    return chosen, [*notes, *_versions(chosen)]


def is_arrow(path: Path) -> bool:
    """Return True for Arrow and Feather files. The content decides; streams have a suffix, but no mark."""
    with path.open("rb") as file:
        begin = file.read(6)
    return begin == b"ARROW1" or (path.suffix.lower() in {".arrow", ".feather"} and not begin.startswith(b"PAR1"))


def have_images(shards: Sequence[Shard]) -> bool:
    """Return True if all files have images and labels."""
    return all(has_images(_schema(shard)) for shard in shards)


def _versions(shards: Sequence[Shard]) -> list[str]:
    """Say that several folders, or files of other names, have the same split: they may be versions of one set."""
    series: dict[str, dict[str, str]] = defaultdict(dict)
    for shard in shards:
        series[shard.split].setdefault(_NUMBER.sub("", shard.place.removesuffix(shard.path.suffix)), shard.place)
    several = [place for found in series.values() if len(found) > 1 for place in found.values()]
    if not several:
        return []
    folders = {place.rpartition("/")[0] for place in several}
    named = ", ".join(sorted(folder or "." for folder in folders) if len(folders) > 1 else sorted(several))
    kind = "the folders" if len(folders) > 1 else "the files"
    return [f"{kind} {named} are read as one data set; if they are versions of the same images, give one of them"]


def shard_of(path: Path) -> Shard:
    """Return a single file as a shard."""
    return Shard(path, readable(path.name), _split((path.stem,)))


def _split(names: tuple[str, ...]) -> str:
    return next((split for name in reversed(names) if (split := split_in(name))), ALL)


def read_shards(root: Path, shards: Sequence[Shard], size: int) -> FaceDataset:
    """Read all shards as RGB squares. Rows without a label are counted; images that cannot be decoded are listed.

    Args:
        root: Folder or file that was given. Its name is the name of the data set.
        shards: The files.
        size: Side of the squares in pixels.

    Raises:
        DataError: A file is damaged, a column is missing, or no image can be read.
    """
    images: list[NDArray[np.uint8]] = []
    labels: list[str] = []
    splits: list[str] = []
    unreadable: list[str] = []
    schemas = [_schema(shard) for shard in shards]
    all_columns = [_columns(shard, schema) for schema, shard in zip(schemas, shards, strict=True)]
    # A file that was written again by other programs may have lost the names.
    written = [class_names(schema, own.label) for schema, own in zip(schemas, all_columns, strict=True)]
    names = LabelNames(next(filter(None, written), ()))
    for shard, schema, columns in zip(shards, schemas, all_columns, strict=True):
        names.add(schema, columns.label)
        split_names = class_names(schema, columns.split) if columns.split else ()
        for row, cells in enumerate(_rows(shard, columns)):
            label = names.name_of(cells[columns.label], f"{shard.place}, row {row}")
            if label is None:
                continue
            try:
                image = image_of(cells[columns.image], size, f"{shard.place}, row {row}", shard.path.parent)
            except DataError as error:
                unreadable.append(str(error))
                continue
            split = _split_of(cells, columns, split_names, f"{shard.place}, row {row}") or shard.split
            images.append(image)
            labels.append(label)
            splits.append(split_name(split) or readable(split))
        refuse_many_classes(len(set(labels)), len(labels), root)
    if not images:
        raise DataError(
            f"{root}: no readable image in column image" + (f"; {unreadable[0]}" if unreadable else "")
        )
    classes = names.ordered(set(labels))
    index = {label: number for number, label in enumerate(classes)}
    hashes = [file_sha256(shard.path) for shard in shards]
    parts = "".join(f"{shard.place}\0{own}" for shard, own in zip(shards, hashes, strict=True))
    return FaceDataset(
        name=readable(root.resolve().stem if root.is_file() else root.resolve().name),
        images=np.stack(images),
        labels=np.array([index[label] for label in labels], np.int64),
        splits=np.array(splits, np.str_),
        classes=classes,
        sha256=hashes[0] if len(shards) == 1 else hashlib.sha256(parts.encode()).hexdigest(),
        unreadable=tuple(unreadable),
        notes=(
            *names.notes(),
            *_other_labels(all_columns),
            *_split_columns(schemas, all_columns),
            *_missing_shards(shards),
            *_memory(len(images), size),
        ),
    )


def _split_of(cells: dict[str, Any], columns: Columns, names: tuple[str, ...], row: str) -> str:
    """Return what a row says about its split; empty if no column does. `names` are those of a ClassLabel."""
    if columns.flags:
        try:
            return split_by_flags({name: cells[name] for name in columns.flags})
        except ValueError as error:
            raise DataError(f"{row}: {error}") from error
    if columns.split is None:
        return ""
    cell = cells[columns.split]
    if names and isinstance(cell, int) and 0 <= cell < len(names):
        cell = names[cell]
    split = str("" if cell is None else cell).strip()
    if not split:
        raise DataError(f"{row}: column {columns.split} is empty")
    return split


def _schema(shard: Shard) -> Any:
    try:
        refuse_git_lfs_pointer(shard.path)
        if is_arrow(shard.path):
            with _arrow(shard.path) as reader:
                return reader.schema
        return pyarrow.parquet.read_schema(shard.path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{shard.path}: not a parquet or Arrow file: {error}") from error


def _columns(shard: Shard, schema: Any) -> Columns:
    """Find the columns; that of the split also by its values, for one under another name, such as `phase`."""
    columns = find_columns(schema, shard.place)
    texts = [name for name in text_columns(schema) if name not in (columns.image, columns.label)]
    if columns.split or columns.flags or shard.split != ALL:
        return columns
    split = next((name for name in texts if _has_splits(shard, name)), None)
    return replace(columns, split=split, others=tuple(name for name in columns.others if name != split))


def _has_splits(shard: Shard, column: str) -> bool:
    """Return True if every row names a split."""
    rows = 0
    for cells in _cells(shard, [column]):
        if not split_name(cells[column] or ""):
            return False
        rows += 1
    return rows > 0


def _rows(shard: Shard, columns: Columns) -> Iterator[dict[str, Any]]:
    wanted = (columns.image, columns.label, columns.split, *columns.flags)
    return _cells(shard, list(dict.fromkeys(name for name in wanted if name)))


def _cells(shard: Shard, wanted: list[str]) -> Iterator[dict[str, Any]]:
    try:
        if is_arrow(shard.path):
            with _arrow(shard.path) as reader:
                batches = (
                    reader
                    if hasattr(reader, "__iter__")
                    else map(reader.get_batch, range(reader.num_record_batches))
                )
                for batch in batches:
                    yield from batch.select(wanted).to_pylist()
        else:
            with pyarrow.parquet.ParquetFile(shard.path) as file:
                for batch in file.iter_batches(batch_size=_BATCH, columns=wanted):
                    yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{shard.path} is damaged: {error}") from error


def _arrow(path: Path) -> Any:
    source = pyarrow.OSFile(str(path))
    try:
        return pyarrow.ipc.open_stream(source)
    except pyarrow.ArrowInvalid:
        source.close()
        return pyarrow.ipc.open_file(str(path))


def _other_labels(columns: Sequence[Columns]) -> list[str]:
    """Say which column was read if there are several of labels."""
    return list(
        dict.fromkeys(
            f"the labels are column {own.label}; not used: {', '.join(own.others)}"
            for own in columns
            if own.others
        )
    )


def _split_columns(schemas: Sequence[Any], columns: Sequence[Columns]) -> list[str]:
    return list(
        dict.fromkeys(
            note
            for schema, own in zip(schemas, columns, strict=True)
            for note in split_notes(own.flags, schema.names, has_split=own.split is not None)
        )
    )


def _missing_shards(shards: Sequence[Shard]) -> list[str]:
    present: dict[tuple[str, int], set[int]] = defaultdict(set)
    for shard in shards:
        match = re.search(r"(.*?)(\d{5})-of-(\d{5})", shard.place)
        if match:
            present[match[1], int(match[3])].add(int(match[2]))
    missing = [
        f"{name}{number:05}-of-{total:05}"
        for (name, total), numbers in present.items()
        for number in sorted(set(range(total)) - numbers)
    ]
    if not missing:
        return []
    return [
        f"{len(missing)} files of the data set are missing: {', '.join(missing[:3])}" + ", …" * (len(missing) > 3)
    ]


def _memory(count: int, size: int) -> list[str]:
    needed = count * size * size * 3
    return [f"all images are kept in memory: {needed / 2**30:.1f} GiB"] if needed > IN_MEMORY_BYTES else []
