"""Progress bar and epoch lines of a training."""

from collections.abc import Iterator
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_Item = TypeVar("_Item")


class SpeedColumn(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        """Return the text of the column."""
        return Text(f"{task.speed:.1f} steps/s" if task.speed else "")


def track_progress(items: Iterator[_Item], total: int, title: str, *, show: bool) -> Iterator[_Item]:
    """Yield the items. On a terminal, show a progress bar with speed and remaining time."""
    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        SpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console()
    # In a file or a pipe a bar would only leave empty lines.
    with Progress(
        *columns, console=console, transient=True, disable=not (show and console.is_terminal)
    ) as progress:
        yield from progress.track(items, total=total)


def epoch_line(entry: dict[str, Any], epochs: int, best: float, measure: str = "accuracy") -> str:
    """Format the metrics of an epoch as one line. `measure` is the validation metric without `val_`."""
    return (
        f"epoch {entry['epoch']:>3}/{epochs} {entry['phase']}  loss {entry['loss']:.4f}  "
        f"{measure} {entry[f'val_{measure}']:.4f} (best {best:.4f})  {entry['seconds']:.0f} s"
    )
