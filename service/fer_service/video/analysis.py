"""The line for a clip: its frames, one after the other, into a timeline and, where wanted, an annotated clip."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from fer_service.analysis.analyzer import Analyzer
from fer_service.contract.schemas import FramePrediction, TrackedFace
from fer_service.tracking.tracked_stream import HALF_LIFE, TrackedStream
from fer_service.video.annotated import AnnotatedClip
from fer_service.video.clip import Clip, ClipFrame
from fer_service.video.timeline import Timeline, open_timeline

_TICK: Final = 1e-4  # seconds; containers round the times of their frames


def analyse_clip(
    analyzer: Analyzer,
    clip: Clip,
    *,
    out: Path | None = None,
    annotate: Path | None = None,
    every: float = 0.0,
    half_life: float = HALF_LIFE,
    on_frame: Callable[[float], None] = lambda seconds: None,
) -> int:
    """Look at a clip's frames; memory does not grow with its length.

    Args:
        analyzer: The line for one image.
        clip: Just opened; what of it could not be read is in its `damage` afterwards.
        out: The timeline's file.
        annotate: The annotated clip's file; between frames that are looked at the last boxes stay.
        every: Seconds from one frame that is looked at to the next; 0 looks at all.
        half_life: Of the smoothing, seconds; 0 turns it off.
        on_frame: Told each frame's time, for a progress bar.

    Returns:
        How many frames were looked at.

    Raises:
        ClipError: a file cannot be written.
    """
    metadata = analyzer.classifier.bundle.metadata
    follower = TrackedStream(metadata.uncertain_below, half_life)
    looked, due = 0, 0.0
    with contextlib.ExitStack() as stack:
        # This one writes nothing before its first frame, so that a wrong ending of either leaves no file behind.
        video = stack.enter_context(AnnotatedClip(annotate)) if annotate else None
        timeline: Timeline | None = stack.enter_context(open_timeline(out, metadata.labels)) if out else None
        faces: Sequence[TrackedFace] = ()
        for frame in clip.frames():
            if frame.time + _TICK >= due:
                result = _look(analyzer, follower, frame)
                faces = result.faces
                looked += 1
                # On a grid from the beginning, so that a late frame does not delay all that follow.
                due = ((frame.time + _TICK) // every + 1) * every if every else 0.0
                if timeline:
                    timeline.add(result)
            if video:
                video.add(frame, faces)
            on_frame(frame.time)
    return looked


def _look(analyzer: Analyzer, follower: TrackedStream, frame: ClipFrame) -> FramePrediction:
    prediction = analyzer.process_pixels(frame.pixels)
    return FramePrediction(
        frame=frame.number,
        time=round(frame.time, 4),
        image=prediction.image,
        faces=follower.follow(prediction, frame.time),
        model=prediction.model,
    )
