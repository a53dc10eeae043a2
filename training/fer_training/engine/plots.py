"""Figures that all tasks share. No function uses matplotlib's global state."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

mpl.rcParams["text.parse_math"] = False  # names of classes may have dollar signs


def learning_curves(runs: dict[str, list[dict[str, Any]]], measure: str = "accuracy") -> Figure:
    """Plot training loss, validation metric and learning rate by epoch.

    Args:
        runs: Entries of metrics.jsonl by run name.
        measure: Validation metric, without the prefix `val_`.
    """
    figure, axes = figure_with_axes(3, width=13)
    for name, entries in runs.items():
        epochs = [entry["epoch"] for entry in entries]
        for axis, key in zip(axes, ("loss", f"val_{measure}", "lr"), strict=True):
            axis.plot(
                epochs, [entry[key] for entry in entries], label=name, marker="o" if len(entries) == 1 else ""
            )
    for axis, title in zip(axes, ("training loss", f"validation {measure}", "learning rate"), strict=True):
        axis.set(title=title, xlabel="epoch")
    if len(runs) > 1:
        axes[1].legend(fontsize=8)
    return figure


def image_grid(
    images: Sequence[NDArray[np.uint8]], titles: Sequence[str], columns: int = 8, title: str = ""
) -> Figure:
    """Plot images in a grid.

    Args:
        images: uint8 [H, W, C], C = 1 or 3.
        titles: One title per image.
        columns: Images per row.
        title: Title of the figure.
    """
    rows = max(-(-len(images) // columns), 1)
    # A layout engine would take seconds for this many axes.
    height = rows * 1.5 + 0.4
    figure = Figure(figsize=(columns * 1.25, height))
    figure.subplots_adjust(0.01, 0.02, 0.99, 1 - 0.55 / height, wspace=0.05, hspace=0.25)
    for place, (image, text) in enumerate(zip(images, titles, strict=True)):
        axis = figure.add_subplot(rows, columns, place + 1)
        axis.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
        axis.set_title(text, fontsize=6)
        axis.axis("off")
    figure.suptitle(title, fontsize=9)
    return figure


def figure_with_axes(columns: int, width: float, height: float = 4) -> tuple[Figure, list[Axes]]:
    """Return a figure with a row of axes, in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = [figure.add_subplot(1, columns, number + 1) for number in range(columns)]
    for axis in axes:
        axis.grid(alpha=0.2)
    return figure, axes
