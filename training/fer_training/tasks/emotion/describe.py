"""Description of a data set before a training: `fer-train data`, and a few lines of `fer-train train`."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from fer_service.contract.text import printable
from rich.console import Console

from fer_training.data import FaceDataset, load_dataset
from fer_training.data.audit import audit, print_audit
from fer_training.data.doubts import print_doubts, refuse_doubts, refuse_one_class
from fer_training.data.tree import refuse_output_inside
from fer_training.engine.plots import image_grid
from fer_training.errors import DataError
from fer_training.tasks.emotion.plots import class_distribution
from fer_training.tasks.emotion.recipe import Data
from fer_training.tasks.emotion.splits import training_doubts, used_splits

_SAMPLE_SIDE: Final = 96
_LISTED: Final = 12


def describe(path: Path, out: Path | None, console: Console, *, strict: bool) -> None:
    """Print and plot the content of a data set: counts, what was passed over, and what makes training doubtful.

    Args:
        path: Path of the data (see `load_dataset`).
        out: Folder for figures; None writes none.
        console: Console to print to.
        strict: Fail if a file cannot be read, or if a training would be refused.

    Raises:
        DataError: The data cannot be read or has one class only, or `out` lies in it. With `strict`: also if a
            file cannot be read, or if a training would be refused.
    """
    if out is not None:
        refuse_output_inside(out, path)
    faces = load_dataset(path, _SAMPLE_SIDE)
    found = audit(faces)
    print_audit(faces, found, console)
    doubts = training_doubts(faces, Data())
    _print_splits(faces, Data(), console)
    print_doubts(faces, doubts, console)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        class_distribution(found.classes).savefig(out / "classes.png")
        some = faces.stratified(40, seed=0)
        titles = [some.classes[label] for label in some.labels]
        image_grid(list(some.images), titles, title=faces.name).savefig(out / "samples.png")
        console.print(f"figures: {out}/classes.png, {out}/samples.png", soft_wrap=True, highlight=False)
        if faces.unreadable:
            lines = "".join(f"{printable(line)}\n" for line in faces.unreadable)
            (out / "unreadable.txt").write_text(lines, encoding="utf-8")
    report_unreadable(faces.unreadable, strict=strict)
    refuse_one_class(faces)
    if strict:
        refuse_doubts(doubts)


def report_doubts(faces: FaceDataset, config: Data) -> None:
    """Print what makes a training doubtful.

    Args:
        faces: Data with the classes of the recipe.
        config: Splits of the recipe.

    Raises:
        DataError: Training would be meaningless.
    """
    refuse_one_class(faces)
    doubts = training_doubts(faces, config)
    _print_splits(faces, config, Console(stderr=True))
    print_doubts(faces, doubts, Console(stderr=True))
    refuse_doubts(doubts)


def _print_splits(faces: FaceDataset, config: Data, console: Console) -> None:
    with suppress(DataError):  # a doubt says it
        text = printable(used_splits(faces, config))
        console.print(f"splits: {text}", soft_wrap=True, markup=False, highlight=False)


def report_unreadable(files: tuple[str, ...], *, strict: bool) -> None:
    """Print the first of the files that cannot be read.

    Raises:
        DataError: There are such files, and `strict` is set.
    """
    for line in files[:_LISTED]:
        print(f"unreadable: {printable(line)}", file=sys.stderr)
    if (more := len(files) - _LISTED) > 0:
        print(f"unreadable: {more:,} more files; `fer-train data --out` lists all", file=sys.stderr)
    if files and strict:
        raise DataError(f"{len(files)} files cannot be read: repair or remove them, or run without --strict")
