"""Implementation of `fer-train train`, `evaluate`, `robustness` and `data`, for emotion models."""

import sys
from pathlib import Path

from fer_service.classification.classifier import open_classifier
from fer_service.contract.bundle import Metadata
from fer_service.contract.text import printable
from fer_service.system.cores import available_cores
from rich.console import Console

from fer_training import plots
from fer_training.card import write_card
from fer_training.config import Data, load_recipe
from fer_training.data import FaceDataset, load_dataset
from fer_training.data.audit import audit, print_audit
from fer_training.data.doubts import print_doubts, refuse_doubts, refuse_one_class
from fer_training.device import build_fabric
from fer_training.errors import DataError, RecipeError
from fer_training.evaluate import bundle_data
from fer_training.export import write_bundle
from fer_training.exported_weights import exported_file
from fer_training.labelled_images import EvaluatedImages, evaluate_file
from fer_training.robustness import measure
from fer_training.run import RunFolder
from fer_training.splits import recipe_classes, train_and_validation, training_doubts
from fer_training.trainer import Trainer

_SAMPLE_SIDE = 96
_LISTED = 12


def train(
    recipe: str,
    data: Path,
    out: Path,
    *,
    resume: bool,
    device: str,
    limit: int | None,
    weights: Path | None,
    init: str | None,
    from_scratch: bool,
    teachers: list[Path],
    teacher_cache: Path | None,
    strict: bool,
    **changes: int | None,
) -> None:
    """Train an emotion network. `torchrun` starts it in several processes.

    Args:
        recipe: Recipe name or YAML file.
        data: Path of the data (see `load_dataset`).
        out: Run folder.
        resume: Continue the run in `out`.
        device: auto, cpu, cuda or mps.
        limit: Approximate number of images per split; None uses all.
        weights: Checkpoint of the recipe's timm network to start from.
        init: Exported file to start from: `bundled`, `large`, or a path.
        from_scratch: Start from random weights even if the recipe asks for pretrained weights.
        teachers: Folders of finished runs for distillation.
        teacher_cache: Cache folder of the teachers' predictions on fixed views.
        strict: Fail if a file cannot be read.
        changes: `seed` and `epochs` that replace the recipe's values.

    Raises:
        TrainingError: The recipe, the data or a run folder is invalid.
    """
    if init and weights:
        raise RecipeError("--init and --pretrained exclude each other")
    initial = exported_file(init) if init else None
    resolved = load_recipe(recipe).changed(**changes)
    faces = load_dataset(data, resolved.network.input_size)
    _report_unreadable(faces.unreadable, strict=strict)
    faces = recipe_classes(faces, resolved)
    report_doubts(faces, resolved.data)
    train_split, validation = train_and_validation(faces.limited(limit) if limit else faces, resolved)
    fabric = build_fabric(device)
    fabric.launch()
    run, teacher_runs = RunFolder(out), [RunFolder(path) for path in teachers]
    # A resumed run restores its weights from the checkpoint, so do not load initial weights again.
    resumed = run.last.exists()
    training = Trainer(
        resolved,
        train_split,
        validation,
        run,
        fabric,
        weights=None if resumed else weights,
        init=None if resumed else initial,
        from_scratch=from_scratch or resumed,
        teachers=teacher_runs,
        teacher_cache=teacher_cache,
    )
    if fabric.is_global_zero:
        if training.new_classes:
            print(f"random weights for the classes that {init} does not know: {', '.join(training.new_classes)}")
        run.start(resolved, faces, data, resume, limit=limit, weights=weights or initial, teachers=teacher_runs)
    fabric.barrier()
    training.fit()


def evaluate(
    model: Path, data: Path, split: str | None, names: dict[str, str], detector: str | None, *, write: str | None
) -> EvaluatedImages:
    """Evaluate a bundle on labelled images (see `evaluate_file`).

    Args:
        model: Path of the bundle.
        data: Path of the data (see `load_dataset`).
        split: Name of the split; None takes the only one.
        names: Labels of the bundle by class name of the data, where they differ.
        detector: A value of FER_DETECTOR; None takes each image as one face.
        write: Name under which the results are written into the bundle and its card; None writes nothing.
    """
    evaluated = evaluate_file(model, data, split, names=names, detector=detector)
    _report_unreadable(evaluated.unreadable, strict=False)
    for name, count in evaluated.left_out.items():
        print(f"left out: {count} images of {name}: not a label of the model", file=sys.stderr)
    if write:
        about = open_classifier(model, "cpu", 1).bundle.metadata
        about = about.model_copy(update={"evaluations": about.evaluations | {write: evaluated.evaluation}})
        write_bundle(model, about, model)
        write_card(about, model.with_suffix(".md"))
    return evaluated


def robustness(model: Path, data: Path, detector: str, *, write: bool) -> Metadata:
    """Measure a bundle on degraded images and through the whole pipeline, on its validation split.

    Args:
        model: Path of the bundle.
        data: Path of its data (see `load_dataset`).
        detector: Face detector, a value of FER_DETECTOR.
        write: Write the results into the bundle and its card.

    Returns:
        Metadata of the bundle, with the results.
    """
    classifier = open_classifier(model, "auto", available_cores())
    about = classifier.bundle.metadata
    measured = measure(classifier, detector, bundle_data(about, data).split(about.metrics.split))
    if write:
        write_bundle(model, measured, model)
        write_card(measured, model.with_suffix(".md"))
    return measured


def describe(path: Path, out: Path | None, console: Console, *, strict: bool) -> None:
    """Print and plot the content of a data set: counts, what was passed over, and what makes training doubtful.

    Args:
        path: Path of the data (see `load_dataset`).
        out: Folder for figures; None writes none.
        console: Console to print to.
        strict: Fail if a file cannot be read, or if a training would be refused.

    Raises:
        DataError: The data cannot be read or has one class only. With `strict`: also if a file cannot be read, or
            if a training would be refused.
    """
    faces = load_dataset(path, _SAMPLE_SIDE)
    found = audit(faces)
    print_audit(faces, found, console)
    doubts = training_doubts(faces, Data())
    print_doubts(faces, doubts, console)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        plots.class_distribution(found.classes).savefig(out / "classes.png")
        some = faces.stratified(40, seed=0)
        titles = [some.classes[label] for label in some.labels]
        plots.image_grid(list(some.images), titles, title=faces.name).savefig(out / "samples.png")
        console.print(f"figures: {out}/classes.png, {out}/samples.png", soft_wrap=True, highlight=False)
        if faces.unreadable:
            (out / "unreadable.txt").write_text(
                "\n".join(map(printable, faces.unreadable)) + "\n", encoding="utf-8"
            )
    _report_unreadable(faces.unreadable, strict=strict)
    refuse_one_class(faces)
    if strict:
        refuse_doubts(doubts)


def report_doubts(faces: FaceDataset, config: Data) -> None:
    """Print what is known about the data before a training.

    Args:
        faces: Data with the classes of the recipe.
        config: Splits of the recipe.

    Raises:
        DataError: Training would be meaningless.
    """
    refuse_one_class(faces)
    doubts = training_doubts(faces, config)
    print_doubts(faces, doubts, Console(stderr=True))
    refuse_doubts(doubts)


def _report_unreadable(files: tuple[str, ...], *, strict: bool) -> None:
    for line in files[:_LISTED]:
        print(f"unreadable: {printable(line)}", file=sys.stderr)
    if len(files) > _LISTED:
        print(
            f"unreadable: {len(files) - _LISTED:,} more files; `fer-train data --out` lists all", file=sys.stderr
        )
    if files and strict:
        raise DataError(f"{len(files)} files cannot be read: repair or remove them, or run without --strict")
