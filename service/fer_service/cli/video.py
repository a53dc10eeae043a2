"""`fer-service predict` for a video."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from fer_service.cli.replaceable import check_replaceable
from fer_service.contract.errors import ClipError
from fer_service.contract.schemas import FramePrediction
from fer_service.contract.summaries import FrameCounts, sentence_of
from fer_service.contract.text import printable
from fer_service.system.files import FileIds

if TYPE_CHECKING:
    from fer_service.analysis.analyzer import Analyzer
    from fer_service.video.analysis import ClipOptions


def predict_video(
    analyzer: "Analyzer",
    path: Path,
    options: "ClipOptions",
    *,
    out: Path | None,
    annotate: Path | None,
) -> bool:
    """Analyse a video file, with a progress bar; print what could not be read.

    Args:
        analyzer: Pipeline for one image.
        path: Video file.
        options: Choices for it.
        out: Timeline file to write.
        annotate: Annotated video to write.

    Returns:
        True if the whole video was read.

    Raises:
        ClipError: the video cannot be opened, or a file cannot be written.
        ResultsError: `out` has other content than results.
    """
    from fer_service.video.analysis import analyze_clip
    from fer_service.video.isolated import open_clip

    targets = [target for target in (out, annotate) if target]
    several = len({target.resolve() for target in targets}) < len(targets)
    if several or any(target in FileIds([path]) for target in targets):
        raise ClipError("the video, --out and --annotate must be different files")
    if out:
        check_replaceable(out)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:.1f} s"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    counts = FrameCounts()
    with open_clip(path, analyzer.limits.max_pixels) as clip, bar as progress:
        task = progress.add_task(escape(printable(path.name)), total=clip.duration)
        analysed = analyze_clip(
            analyzer,
            clip,
            options,
            out=out,
            annotate=annotate,
            on_frame=lambda seconds: progress.update(task, completed=seconds),
            on_result=lambda result: counts.add(result.faces),
        )
    for problem in clip.damage:
        print(f"{printable(path)}: {problem}", file=sys.stderr)
    print(f"{analysed} frames analysed → {', '.join(map(printable, targets))}")
    if analysed:
        print(printable(sentence_of(counts.summary())))
    if not analysed and not clip.damage:
        print(f"{printable(path)}: the video has no frames", file=sys.stderr)
    return bool(analysed) and not clip.damage


def analyze_video(
    analyzer: "Analyzer",
    path: Path,
    options: "ClipOptions",
    annotate: Path | None,
    on_result: Callable[[FramePrediction], None],
) -> str:
    """Analyse one video of many.

    Args:
        analyzer: Pipeline for one image.
        path: Video file.
        options: Choices for it.
        annotate: Annotated video to write.
        on_result: Called with the result of every analysed frame.

    Returns:
        Why the results are missing or incomplete; empty if they are complete.
    """
    from fer_service.video.analysis import analyze_clip
    from fer_service.video.isolated import open_clip

    try:
        with open_clip(path, analyzer.limits.max_pixels) as clip:
            analysed = analyze_clip(analyzer, clip, options, annotate=annotate, on_result=on_result)
    except ClipError as error:
        return str(error)
    return "; ".join(clip.damage) or ("" if analysed else "the video has no frames")


def parse_seconds(text: str) -> float:
    """Return the seconds of a text such as "0.2s", "200ms" or "0.2"."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(ms|s)?", str(text).strip())
    if not match:
        raise typer.BadParameter(f"invalid time {text}; valid are 0.2s or 200ms")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)
