"""Description of a data set: `fer-train data`."""

from pathlib import Path

from rich.console import Console

from fer_training.data import load_dataset
from fer_training.data.audit import audit, print_audit
from fer_training.engine.plots import image_grid
from fer_training.tasks.emotion.plots import class_distribution
from fer_training.tasks.emotion.task import report_unreadable

_SAMPLE_SIDE = 96


def describe(path: Path, out: Path | None, console: Console, *, strict: bool) -> None:
    """Print and plot the content of a data set.

    Args:
        path: Path of the data (see `load_dataset`).
        out: Folder for figures; None writes none.
        console: Console to print to.
        strict: Fail if a file cannot be read.

    Raises:
        DataError: The data cannot be read, or `strict` is set and a file cannot be read.
    """
    faces = load_dataset(path, _SAMPLE_SIDE)
    found = audit(faces)
    print_audit(faces, found, console)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        class_distribution(found.classes).savefig(out / "classes.png")
        some = faces.stratified(40, seed=0)
        titles = [some.classes[label] for label in some.labels]
        image_grid(list(some.images), titles, title=faces.name).savefig(out / "samples.png")
        console.print(f"figures: {out}/classes.png, {out}/samples.png", soft_wrap=True, highlight=False)
    report_unreadable(faces, strict=strict)
