"""Columns of progress bars."""

from rich.progress import ProgressColumn, Task
from rich.text import Text


class RateColumn(ProgressColumn):
    """Files per second."""

    def render(self, task: Task) -> Text:
        """Return the text."""
        return Text(f"{task.speed:.1f} files/s" if task.speed else "")
