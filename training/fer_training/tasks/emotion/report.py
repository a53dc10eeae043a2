"""HTML report of one run, and comparison of several runs."""

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

from fer_training.data import FaceDataset
from fer_training.data.audit import class_counts
from fer_training.engine.pages import page_template, png_base64, save_png
from fer_training.engine.plots import image_grid, learning_curves
from fer_training.engine.run_folder import RunFolder
from fer_training.tasks.emotion import plots
from fer_training.tasks.emotion.augment import augment
from fer_training.tasks.emotion.calibrate import uncertainty_threshold
from fer_training.tasks.emotion.evaluate import deduplicated, score
from fer_training.tasks.emotion.model import as_levels
from fer_training.tasks.emotion.predictions import Predictions, predict_run
from fer_training.tasks.emotion.recipe import EmotionRecipe
from fer_training.tasks.emotion.runs import run_data
from fer_training.tasks.emotion.splits import train_and_validation

_SAMPLES = 24


@dataclass(frozen=True)
class ScoredRun:
    """A run and its metrics on the validation split.

    Attributes:
        name: Name of the run folder.
        recipe: EmotionRecipe of the run.
        entries: Entries of metrics.jsonl.
        official: Metrics on the whole split, calibrated.
        deduplicated: Metrics without duplicates of training images or of earlier validation images. None if no
            image is left.
        predictions: Predictions on the split.
    """

    name: str
    recipe: EmotionRecipe
    entries: list[dict[str, Any]]
    official: Metrics
    deduplicated: Metrics | None
    predictions: Predictions


def score_run(run: RunFolder, train: FaceDataset, validation: FaceDataset) -> ScoredRun:
    """Predict the validation split with a run's best weights, and compute the metrics."""
    predictions = predict_run(run, validation)
    probabilities, split = predictions.probabilities, str(validation.splits[0])
    return ScoredRun(
        name=run.path.name,
        recipe=run.recipe(EmotionRecipe),
        entries=run.metrics(),
        official=score(probabilities, validation.labels, validation.classes, split),
        deduplicated=deduplicated(probabilities, train, validation),
        predictions=predictions,
    )


def write_report(run: RunFolder, data_path: Path | None = None) -> Path:
    """Write `report.html`, `figures/*.png` and `predictions.parquet` into the run folder.

    Args:
        run: Finished or interrupted run.
        data_path: New path of the run's data, if it was moved.

    Returns:
        Path of the page.

    Raises:
        RunError: The run has no weights, or the data differs from the run's data.
        DataError: The data is missing or cannot be read.
    """
    recipe = run.recipe(EmotionRecipe)
    train, validation = train_and_validation(run_data(run, data_path), recipe)
    scored = score_run(run, train, validation)
    scored.predictions.write(run.path / "predictions.parquet")
    figures = {
        name: save_png(draw(), run.path / "figures" / f"{name}.png")
        for name, draw in _figures(scored, train, validation).items()
    }
    page = run.path / "report.html"
    page.write_text(
        page_template("report.html.j2").render(
            scored=scored,
            recipe_text=yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True), sort_keys=False),
            environment=run.environment(),
            figures=figures,
        ),
        encoding="utf-8",
    )
    return page


def write_comparison(runs: list[RunFolder], out: Path, data_path: Path | None = None) -> list[ScoredRun]:
    """Write a page that compares runs.

    Args:
        runs: Runs with the same classes. The first one is the baseline.
        out: HTML file to write.
        data_path: New path of the runs' data, if it was moved.

    Returns:
        The runs with their metrics, in the given order.
    """
    scored = [
        score_run(run, *train_and_validation(run_data(run, data_path), run.recipe(EmotionRecipe))) for run in runs
    ]
    if len({each.name for each in scored}) < len(scored):
        scored = [replace(each, name=str(run.path)) for each, run in zip(scored, runs, strict=True)]
    curves = learning_curves({each.name: each.entries for each in scored})
    page = page_template("compare.html.j2").render(runs=scored, curves=png_base64(curves))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    return scored


def print_comparison(runs: list[ScoredRun], console: Console) -> None:
    """Print the comparison as a table."""
    table = Table("run", "recipe", "epochs", "accuracy", "vs. first", "macro F1", "ECE-15", "de-duplicated")
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


def _figures(scored: ScoredRun, train: FaceDataset, validation: FaceDataset) -> dict[str, Callable[[], Figure]]:
    probabilities = scored.predictions.probabilities
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == validation.labels
    threshold = uncertainty_threshold(confidence, correct, scored.recipe.selective_accuracy)
    counts = {str(part.splits[0]): class_counts(part) for part in (train, validation)}
    return {
        "curves": lambda: learning_curves({scored.name: scored.entries}),
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
    return image_grid(list(some.images), [some.classes[label] for label in some.labels], title="samples")


def _augmented(train: FaceDataset, recipe: EmotionRecipe) -> Figure:
    """Plot eight images: the original, then two augmented versions."""
    some = train.stratified(8, seed=0)
    pixels = some.pixels(np.arange(min(8, len(some))))
    levels = as_levels(torch.from_numpy(pixels).permute(0, 3, 1, 2), recipe.network)
    torch.manual_seed(0)
    versions = [levels, augment(levels, recipe.augment), augment(levels, recipe.augment)]
    rows: list[NDArray[np.uint8]] = []
    for version in versions:
        rows.extend(version.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy())
    titles = [kind for kind in ("original", "augmented", "augmented") for _ in range(len(levels))]
    return image_grid(rows, titles, columns=len(levels), title="augmentation")
