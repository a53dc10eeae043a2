"""Metrics of a bundle's predictions, and the predictions, computed with the service's own code."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from fer_service.classification.classifier import Classifier
from fer_service.contract.bundle import ClassMetrics, CropGeometry, Metadata, Metrics
from fer_service.imaging.crop import crop, square_over
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from fer_training.data import FaceDataset, load_dataset
from fer_training.data.audit import unseen_mask
from fer_training.errors import DataError

_BATCH = 256
_BINS = 15


def bundle_data(metadata: Metadata, path: Path) -> FaceDataset:
    """Load the data that a bundle was made from, with the bundle's labels.

    Raises:
        DataError: The data cannot be read, lacks a label, or is other data.
    """
    loaded = with_held_out(load_dataset(path, metadata.input_size), metadata)
    data = loaded.renamed(metadata.data.rename).with_classes(metadata.labels)
    scored = metadata.metrics
    images = np.bincount(data.labels[data.splits == scored.split], minlength=len(metadata.labels)).tolist()
    if data.sha256 != metadata.data.sha256 and images != [
        scored.per_class[label].support for label in data.classes
    ]:
        raise DataError(
            f"{path} differs from the data that the model was made from: its split {scored.split} has "
            f"{sum(images):,} images, the model was scored on {scored.count:,}. Give the original data, or use "
            "`fer-train evaluate` for other data"
        )
    return data


def with_held_out(data: FaceDataset, metadata: Metadata) -> FaceDataset:
    """Restore the split that was held out in training, if any, if the bundle was made from this data.

    Args:
        data: Data as it is loaded, with its own classes.
        metadata: Metadata of the bundle.
    """
    held_out = metadata.data.held_out
    if held_out is None or not is_own_data(data, metadata):
        return data
    renamed = data.renamed(metadata.data.rename)
    rows = np.flatnonzero(np.isin(np.array(renamed.classes)[renamed.labels], metadata.labels))
    trained = renamed.with_classes(metadata.labels)
    if held_out.limit:
        chosen = trained.limited_mask(held_out.limit)
        rows, trained = rows[chosen], trained.limited(held_out.limit)
    splits = data.splits.astype(object)
    splits[rows] = trained.held_out(held_out.split, held_out.fraction, held_out.seed).splits
    return replace(data, splits=splits.astype(np.str_))


def is_own_data(data: FaceDataset, metadata: Metadata) -> bool:
    """Return True if the bundle was made from this data."""
    return data.sha256 == metadata.data.sha256


def probabilities_of(classifier: Classifier, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Classify whole images uint8 [H, W, 1 or 3] as one face each. Return probabilities float32 [N, C]."""
    metadata = classifier.bundle.metadata
    batches = _batches(served_crops(images, metadata.input_size, metadata.crop))
    return np.concatenate([classifier.classify(batch) for batch in batches])


def served_crops(
    images: Iterable[NDArray[np.uint8]], size: int, geometry: CropGeometry
) -> Iterator[NDArray[np.uint8]]:
    """Crop images uint8 [H, W, 1 or 3] as `detect=false` does. Yield uint8 [size, size, 3], RGB."""
    for image in images:
        pixels = np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))
        yield crop(pixels, square_over(pixels.shape[1], pixels.shape[0]), size, geometry)


def score(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], labels: tuple[str, ...], split: str
) -> Metrics:
    """Compute all classification metrics.

    Args:
        probabilities: [N, C], rows sum to 1.
        truth: [N], true classes.
        labels: Names of the C classes.
        split: Name of the split, copied into the result.
    """
    predicted = probabilities.argmax(axis=1)
    present = np.bincount(truth, minlength=len(labels)) > 0
    indices = list(range(len(labels)))
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=indices, zero_division=0
    )
    chosen = np.clip(probabilities[np.arange(len(truth)), truth].astype(np.float64), 1e-12, 1)
    return Metrics(
        split=split,
        count=len(truth),
        accuracy=round(float((predicted == truth).mean()), 5),
        macro_f1=round(float(f1[present].mean()), 5),
        ece15=round(calibration_error(probabilities.max(axis=1), predicted == truth), 5),
        nll=abs(round(float(np.log(chosen).mean()), 5)),  # not -0.0
        per_class={
            label: ClassMetrics(
                precision=round(float(precision[i]), 4),
                recall=round(float(recall[i]), 4),
                f1=round(float(f1[i]), 4),
                support=int(support[i]),
            )
            for i, label in enumerate(labels)
        },
        confusion=confusion_matrix(truth, predicted, labels=indices).tolist(),
    )


def deduplicated(
    probabilities: NDArray[np.float32], train: FaceDataset, validation: FaceDataset
) -> Metrics | None:
    """Compute the metrics without duplicates of training images or of earlier validation images.

    Returns:
        The metrics, or None if no image is left.
    """
    fresh = unseen_mask(validation, train)
    if not fresh.any():
        return None
    return score(probabilities[fresh], validation.labels[fresh], validation.classes, str(validation.splits[0]))


def calibration_error(confidence: NDArray[np.floating], correct: NDArray[np.bool_]) -> float:
    """Compute the expected calibration error with 15 equal bins (Guo et al. 2017, arXiv:1706.04599).

    Args:
        confidence: [N], top probabilities, 0 to 1. A confidence of 1 belongs to the last bin.
        correct: [N], True for a correct answer.
    """
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    gap = np.bincount(bins, weights=correct.astype(np.float64) - confidence, minlength=_BINS)
    return float(np.abs(gap).sum() / len(confidence))


def better_constant(metrics: Metrics) -> str | None:
    """Return the most frequent class if always answering it were as accurate as the model, else None."""
    label, most = max(metrics.per_class.items(), key=lambda entry: entry[1].support)
    correct = sum(row[index] for index, row in enumerate(metrics.confusion))
    return label if most.support >= correct else None


def print_metrics(metrics: Metrics, console: Console) -> None:
    """Print the metrics as tables, with a row for each class that has images."""
    console.print(
        f"{metrics.split}: {metrics.count} images  accuracy {metrics.accuracy:.2%}  "
        f"macro-F1 {metrics.macro_f1:.4f}  ECE-15 {metrics.ece15:.4f}  NLL {metrics.nll:.4f}",
        soft_wrap=True,
    )
    report = Table("class", "precision", "recall", "F1", "support", title="per class")
    classes = {label: entry for label, entry in metrics.per_class.items() if entry.support}
    for label, entry in classes.items():
        figures = (f"{value:.3f}" for value in (entry.precision, entry.recall, entry.f1))
        report.add_row(label, *figures, str(entry.support))
    labels = list(metrics.per_class)
    confusion = Table("true \\ predicted", *labels, title="confusion matrix")
    for label, row in zip(labels, metrics.confusion, strict=True):
        if label in classes:
            confusion.add_row(label, *map(str, row))
    console.print(report, confusion)


def _batches(crops: Iterator[NDArray[np.uint8]]) -> Iterator[list[NDArray[np.uint8]]]:
    batch: list[NDArray[np.uint8]] = []
    for entry in crops:
        batch.append(entry)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
