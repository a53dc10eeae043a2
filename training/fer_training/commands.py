"""What `fer-train train`, `robustness` and `data` do; the detector's commands are in `detector`."""

import sys
from pathlib import Path

from fer_service.classification.classifier import open_classifier
from fer_service.contract.bundle import Metadata
from fer_service.system.cores import available_cores
from rich.console import Console

from fer_training import plots
from fer_training.card import write_card
from fer_training.config import load_recipe
from fer_training.data import load_dataset
from fer_training.data.audit import audit, print_audit
from fer_training.device import build_fabric
from fer_training.errors import DataError
from fer_training.evaluate import bundle_data
from fer_training.export import write_bundle
from fer_training.robustness import measure
from fer_training.run import RunFolder
from fer_training.splits import recipe_classes, train_and_validation
from fer_training.trainer import Trainer

_SAMPLE_SIDE = 96


def train(
    recipe: str,
    data: Path,
    out: Path,
    *,
    resume: bool,
    device: str,
    limit: int | None,
    weights: Path | None,
    from_scratch: bool,
    teachers: list[Path],
    teacher_cache: Path | None,
    strict: bool,
    **changes: int | None,
) -> None:
    """Train a network by a recipe; under `torchrun` on several processes.

    Args:
        recipe: A recipe's name, or a YAML file.
        data: What `load_dataset` takes.
        out: The run folder.
        resume: Go on where it stands.
        device: auto, cpu, cuda or mps.
        limit: Take about so many images a split.
        weights: A checkpoint of the recipe's timm network to begin with.
        from_scratch: Begin with random weights, whatever the recipe says.
        teachers: Folders of finished runs to learn from.
        teacher_cache: Where their answers about fixed views are kept.
        strict: Fail where a file cannot be read.
        changes: `seed` and `epochs`, instead of the recipe's.

    Raises:
        TrainingError: the recipe, the data or a run folder is not right.
    """
    plan = load_recipe(recipe).changed(**changes)
    faces = load_dataset(data, plan.network.input_size)
    _report_unreadable(faces.unreadable, strict=strict)
    faces = recipe_classes(faces, plan)
    train_split, validation = train_and_validation(faces.limited(limit) if limit else faces, plan)
    fabric = build_fabric(device)
    fabric.launch()
    run, taught_by = RunFolder(out), [RunFolder(path) for path in teachers]
    # A run that is taken up again has its weights; those it began with are not fetched once more.
    begun = run.last.exists()
    training = Trainer(
        plan,
        train_split,
        validation,
        run,
        fabric,
        weights=None if begun else weights,
        from_scratch=from_scratch or begun,
        teachers=taught_by,
        teacher_cache=teacher_cache,
    )
    if fabric.is_global_zero:
        run.start(plan, faces, data, resume, limit=limit, weights=weights, teachers=taught_by)
    fabric.barrier()
    training.fit()


def robustness(model: Path, data: Path, detector: str, *, write: bool) -> Metadata:
    """Measure a bundle on worse images and through the whole line, on its validation split.

    Args:
        model: The bundle.
        data: What its data is read from.
        detector: As FER_DETECTOR.
        write: Put the figures into the file and its card.

    Returns:
        What the file says of itself, with the figures.
    """
    classifier = open_classifier(model, "auto", available_cores())
    about = classifier.bundle.metadata
    measured = measure(classifier, detector, bundle_data(about, data).split(about.metrics.split))
    if write:
        write_bundle(model, measured, model)
        write_card(measured, model.with_suffix(".md"))
    return measured


def describe(path: Path, out: Path | None, console: Console, *, strict: bool) -> None:
    """Print what is in a data set, and plot it.

    Args:
        path: What `load_dataset` takes.
        out: Folder for figures; None makes none.
        console: To print to.
        strict: Fail where a file cannot be read.

    Raises:
        DataError: the data cannot be read, or with `strict` a file of it.
    """
    faces = load_dataset(path, _SAMPLE_SIDE)
    found = audit(faces)
    print_audit(faces, found, console)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        plots.class_distribution(found.classes).savefig(out / "classes.png")
        some = faces.stratified(40, seed=0)
        titles = [some.classes[label] for label in some.labels]
        plots.image_grid(list(some.images), titles, title=faces.name).savefig(out / "samples.png")
        console.print(f"figures: {out}/classes.png, {out}/samples.png", soft_wrap=True, highlight=False)
    _report_unreadable(faces.unreadable, strict=strict)


def _report_unreadable(files: tuple[str, ...], *, strict: bool) -> None:
    for line in files:
        print(f"unreadable: {line}", file=sys.stderr)
    if files and strict:
        raise DataError(f"{len(files)} files cannot be read, and --strict was given")
