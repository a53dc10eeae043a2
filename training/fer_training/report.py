"""A run as one self-contained HTML page with its figures beside it, and several runs side by side."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from fer_service.contract.bundle import Metrics
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fer_training import plots
from fer_training.augment import augment
from fer_training.calibrate import threshold_for
from fer_training.config import Recipe
from fer_training.data import FaceDataset
from fer_training.data.audit import class_counts
from fer_training.evaluate import deduplicated, score
from fer_training.model import as_levels
from fer_training.pages import encoded, page_template, saved
from fer_training.predictions import Predictions, predict_run
from fer_training.run import RunFolder
from fer_training.splits import train_and_validation

_SAMPLES = 24


@dataclass(frozen=True)
class Scored:
    """A run with what it scores.

    Attributes:
        name: Of the run folder.
        recipe: Of the run.
        entries: Of metrics.jsonl.
        official: On the whole validation split, calibrated.
        deduplicated: On those of its images that stand neither in the fit split nor there before; None where
            there are none.
        predictions: On the validation split.
    """

    name: str
    recipe: Recipe
    entries: list[dict[str, Any]]
    official: Metrics
    deduplicated: Metrics | None
    predictions: Predictions


def score_run(run: RunFolder, train: FaceDataset, validation: FaceDataset) -> Scored:
    """Predict the validation split with a run's best weights, and score the answers."""
    predictions = predict_run(run, validation)
    probabilities, split = predictions.probabilities, str(validation.splits[0])
    return Scored(
        name=run.path.name,
        recipe=run.recipe(),
        entries=run.metrics(),
        official=score(probabilities, validation.labels, validation.classes, split),
        deduplicated=deduplicated(probabilities, train, validation),
        predictions=predictions,
    )


def write_report(run: RunFolder, data_path: Path | None = None) -> Path:
    """Write `report.html`, `figures/*.png` and `predictions.parquet` into the run folder.

    Args:
        run: A finished or interrupted run.
        data_path: Where the run's data lies now, if it was moved.

    Returns:
        The page.

    Raises:
        RunError: the run has no weights yet, or its data is not there or not the same.
    """
    recipe = run.recipe()
    train, validation = train_and_validation(run.data(data_path), recipe)
    scored = score_run(run, train, validation)
    scored.predictions.write(run.path / "predictions.parquet")
    figures = {name: draw() for name, draw in _figures(scored, train, validation).items()}
    drawn = {name: saved(figure, run.path / "figures" / f"{name}.png") for name, figure in figures.items()}
    page = run.path / "report.html"
    page.write_text(
        page_template("report.html.j2").render(
            scored=scored,
            recipe_text=yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True), sort_keys=False),
            environment=run.environment(),
            figures=drawn,
        ),
        encoding="utf-8",
    )
    return page


def write_comparison(runs: list[RunFolder], out: Path, data_path: Path | None = None) -> list[Scored]:
    """Put runs side by side on one page.

    Args:
        runs: Runs of the same classes; the first is what the others are compared with.
        out: The page to write.
        data_path: Where the runs' data lies now, if it was moved.

    Returns:
        The runs' scores, in order.
    """
    scored = [score_run(run, *train_and_validation(run.data(data_path), run.recipe())) for run in runs]
    if len({each.name for each in scored}) < len(scored):
        scored = [replace(each, name=str(run.path)) for each, run in zip(scored, runs, strict=True)]
    curves = plots.learning_curves({each.name: each.entries for each in scored})
    page = page_template("compare.html.j2").render(runs=scored, curves=encoded(curves))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    return scored


def print_comparison(runs: list[Scored], console: Console) -> None:
    """The comparison as a table for people."""
    table = Table(
        "run", "recipe", "epochs", "accuracy", "against the first", "macro F1", "ECE-15", "de-duplicated"
    )
    for run in runs:
        gain = (run.official.accuracy - runs[0].official.accuracy) * 100
        table.add_row(
            run.name,
            run.recipe.name,
            str(len(run.entries)),
            f"{run.official.accuracy:.2%}",
            f"{gain:+.2f}",
            f"{run.official.macro_f1:.4f}",
            f"{run.official.ece15:.4f}",
            f"{run.deduplicated.accuracy:.2%}" if run.deduplicated else "–",
        )
    console.print(table)


def _figures(scored: Scored, train: FaceDataset, validation: FaceDataset) -> dict[str, Callable[[], Figure]]:
    probabilities = scored.predictions.probabilities
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == validation.labels
    threshold = threshold_for(confidence, correct, scored.recipe.selective_accuracy)
    counts = {str(part.splits[0]): class_counts(part) for part in (train, validation)}
    return {
        "curves": lambda: plots.learning_curves({scored.name: scored.entries}),
        "classes": lambda: plots.class_distribution(counts),
        "samples": lambda: _samples(train),
        "augmented": lambda: _augmented(train, scored.recipe),
        "confusion": lambda: plots.confusion(scored.official.confusion, validation.classes),
        "ranking": lambda: plots.ranking_curves(probabilities, validation.labels, validation.classes),
        "reliability": lambda: plots.reliability(confidence, correct),
        "risk_coverage": lambda: plots.risk_coverage(confidence, correct, threshold),
        "mistakes": lambda: plots.worst_mistakes(validation, probabilities),
    }


def _samples(train: FaceDataset) -> Figure:
    some = train.stratified(_SAMPLES, seed=0)
    return plots.image_grid(list(some.images), [some.classes[label] for label in some.labels], title="samples")


def _augmented(train: FaceDataset, recipe: Recipe) -> Figure:
    """Eight images, each as it is and twice as the training sees it."""
    some = train.stratified(8, seed=0)
    pixels = some.pixels(np.arange(min(8, len(some))))
    levels = as_levels(torch.from_numpy(pixels).permute(0, 3, 1, 2), recipe.network)
    torch.manual_seed(0)
    versions = [levels, augment(levels, recipe.augment), augment(levels, recipe.augment)]
    rows: list[NDArray[np.uint8]] = []
    for version in versions:
        rows.extend(version.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy())
    titles = [kind for kind in ("original", "augmented", "augmented") for _ in range(len(levels))]
    return plots.image_grid(rows, titles, columns=len(levels), title="augmentation")
