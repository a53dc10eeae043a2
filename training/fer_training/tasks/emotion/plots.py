"""Figures of data and predictions. No function uses matplotlib's global state."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from fer_training.data import FaceDataset
from fer_training.engine.plots import figure_with_axes, image_grid

_BINS = 15


def class_distribution(counts: dict[str, dict[str, int]]) -> Figure:
    """Plot the images per class, one bar per split.

    Args:
        counts: Image counts by split and class.
    """
    figure, (axis,) = figure_with_axes(1, width=8)
    width = 0.8 / len(counts)
    for number, (split, classes) in enumerate(counts.items()):
        places = np.arange(len(classes)) + number * width
        bars = axis.bar(places, list(classes.values()), width, label=split)
        axis.bar_label(bars, fontsize=6)
    axis.set_xticks(np.arange(len(classes)) + 0.4 - width / 2, list(classes))
    axis.set(title="images per class")
    axis.legend()
    return figure


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Figure:
    """Plot a confusion matrix as counts and as rates per true class."""
    counts = np.array(matrix)
    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = figure_with_axes(2, width=12, height=5.5)
    for axis, values, form in ((axes[0], counts, "{:d}"), (axes[1], rates, "{:.2f}")):
        axis.imshow(rates, cmap="Blues", vmin=0, vmax=1)
        axis.grid(visible=False)
        axis.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
        axis.set_yticks(range(len(labels)), labels)
        axis.set(xlabel="predicted class", ylabel="true class")
        for row, column in np.ndindex(*values.shape):
            colour = "white" if rates[row, column] > 0.5 else "black"
            text = form.format(values[row, column])
            axis.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    axes[0].set_title("counts")
    axes[1].set_title("rates per true class")
    return figure


def ranking_curves(probabilities: NDArray[np.float32], truth: NDArray[np.int64], labels: Sequence[str]) -> Figure:
    """Plot ROC and precision-recall curves, one class against the rest."""
    figure, (left, right) = figure_with_axes(2, width=12, height=5)
    for index, label in enumerate(labels):
        positive, score = truth == index, probabilities[:, index]
        if positive.all() or not positive.any():
            continue
        false_rate, true_rate, _ = roc_curve(positive, score)
        left.plot(false_rate, true_rate, label=f"{label} (AUC {roc_auc_score(positive, score):.3f})")
        precision, recall, _ = precision_recall_curve(positive, score)
        right.plot(recall, precision, label=f"{label} (AP {average_precision_score(positive, score):.3f})")
    left.plot([0, 1], [0, 1], color="grey", linestyle=":")
    left.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")
    right.set(title="precision and recall", xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    left.legend(fontsize=8)
    right.legend(fontsize=8)
    return figure


def reliability(confidence: NDArray[np.floating], correct: NDArray[np.bool_]) -> Figure:
    """Plot accuracy and number of predictions by confidence (Guo et al. 2017, arXiv:1706.04599)."""
    figure, (upper, lower) = figure_with_axes(2, width=11, height=4.5)
    edges = np.linspace(0, 1, _BINS + 1)
    bins = np.clip(np.digitize(confidence, edges) - 1, 0, _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    accuracy = np.bincount(bins, weights=correct, minlength=_BINS) / np.maximum(counts, 1)
    centres = (edges[:-1] + edges[1:]) / 2
    upper.bar(centres, accuracy, 0.9 / _BINS)
    upper.plot([0, 1], [0, 1], color="grey", linestyle=":")
    upper.set(title="reliability", xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    lower.bar(centres, counts, 0.9 / _BINS)
    lower.set(title="predictions by confidence", xlabel="confidence", ylabel="images", xlim=(0, 1))
    return figure


def risk_coverage(confidence: NDArray[np.floating], correct: NDArray[np.bool_], threshold: float) -> Figure:
    """Plot the error rate of accepted predictions by coverage (Geifman & El-Yaniv 2017, arXiv:1705.08500)."""
    figure, (axis,) = figure_with_axes(1, width=6.5)
    order = np.argsort(-confidence, kind="stable")
    coverage = np.arange(1, len(order) + 1) / len(order)
    risk = np.cumsum(~correct[order]) / np.arange(1, len(order) + 1)
    axis.plot(coverage, risk)
    accepted = float((confidence >= threshold).mean())
    axis.axvline(accepted, color="grey", linestyle=":", label=f"threshold {threshold:.3f} accepts {accepted:.1%}")
    axis.set(
        title="risk and coverage", xlabel="coverage (share accepted)", ylabel="risk (error rate)", ylim=(0, None)
    )
    axis.legend(fontsize=8)
    return figure


def worst_mistakes(data: FaceDataset, probabilities: NDArray[np.float32], count: int = 32) -> Figure:
    """Plot the most confident errors, titled with true class, predicted class and probability."""
    answers, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(answers != data.labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
    titles = [
        f"{data.classes[data.labels[row]]}\n→ {data.classes[answers[row]]} {confidence[row]:.2f}" for row in worst
    ]
    return image_grid(list(data.pixels(worst)), titles, title="most confident errors")
