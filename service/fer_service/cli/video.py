"""`fer-service predict` for a video: options checked, a progress bar, and words about what could not be read."""

import re
import sys
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from fer_service.analysis.analyzer import Analyzer
from fer_service.contract.errors import ClipError
from fer_service.video.analysis import analyse_clip
from fer_service.video.clip import Clip


def predict_clip(
    analyzer: Analyzer, path: Path, *, out: Path | None, annotate: Path | None, every: float, half_life: float
) -> bool:
    """Analyse a video file; True when all of it could be read.

    Args:
        analyzer: The line for one image.
        path: The video.
        out: The timeline to write.
        annotate: The annotated copy to write.
        every: Seconds from one frame that is looked at to the next; 0 looks at all.
        half_life: Of the smoothing, seconds.

    Raises:
        ClipError: the video cannot be opened, or a file cannot be written.
    """
    targets = [target for target in (out, annotate) if target]
    if len({target.resolve() for target in (path, *targets)}) <= len(targets):
        raise ClipError("the video, --out and --annotate have to be different files")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:.1f} s"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with Clip(path) as clip, bar as progress:
        task = progress.add_task(path.name, total=clip.duration)
        looked = analyse_clip(
            analyzer,
            clip,
            out=out,
            annotate=annotate,
            every=every,
            half_life=half_life,
            on_frame=lambda seconds: progress.update(task, completed=seconds),
        )
    for damage in clip.damage:
        print(f"{path}: {damage}", file=sys.stderr)
    print(f"{looked} frames looked at → {', '.join(map(str, targets))}")
    return not clip.damage


def parse_seconds(text: str) -> float:
    """Seconds of "0.2s", "200ms" or "0.2"."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(ms|s)?", str(text).strip())
    if not found:
        raise typer.BadParameter(f"{text} is no time; write it as 0.2s or 200ms")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)
