"""The pipeline for a clip: its frames in order, into a timeline and an annotated clip."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.options import Options
from fer_service.contract.schemas import FramePrediction, Prediction, TrackedFace
from fer_service.tracking.tracked_stream import HALF_LIFE, TrackedStream
from fer_service.video.annotated import AnnotatedClip
from fer_service.video.clip import Clip, ClipFrame
from fer_service.video.isolated import IsolatedClip
from fer_service.video.painting import open_painter
from fer_service.video.sampling import Sampling
from fer_service.video.timeline import Timeline, open_timeline


@dataclass(frozen=True)
class ClipOptions:
    """Choices for a clip.

    Attributes:
        frame: Choices for each frame. Frames that are not analysed show the last boxes; faces are covered in every
            frame.
        every: Seconds between analysed frames; 0 analyses every frame.
        half_life: Half-life of the smoothing in seconds; 0 turns smoothing off.
    """

    frame: Options = field(default_factory=Options)
    every: float = 0.0
    half_life: float = HALF_LIFE


def analyze_clip(
    analyzer: Analyzer,
    clip: Clip | IsolatedClip,
    options: ClipOptions,
    *,
    out: Path | None = None,
    annotate: Path | None = None,
    on_frame: Callable[[float], None] = lambda seconds: None,
    on_result: Callable[[FramePrediction], None] = lambda result: None,
) -> int:
    """Analyse the frames of a clip; memory use does not grow with its length.

    Args:
        analyzer: Pipeline for one image.
        clip: Clip just opened; afterwards its `damage` lists what could not be read.
        options: Choices for the clip.
        out: Timeline file to write.
        annotate: Annotated clip to write.
        on_frame: Called with the time of every frame, for a progress bar.
        on_result: Called with the result of every analysed frame.

    Returns:
        Number of analysed frames.

    Raises:
        ClipError: a file cannot be written.
        InvalidParameter: an option is out of range.
    """
    metadata = analyzer.classifier.bundle.metadata
    tracked = TrackedStream(metadata.uncertain_below, options.half_life)
    sampling, analysed = Sampling(options.every), 0
    with contextlib.ExitStack() as stack:
        # Opened first, as it writes nothing before its first frame: an invalid suffix of either leaves no file.
        video = stack.enter_context(AnnotatedClip(annotate)) if annotate else None
        timeline: Timeline | None = stack.enter_context(open_timeline(out, metadata.labels)) if out else None
        painter = open_painter(options.frame.drawing, analyzer.detector)
        faces: Sequence[TrackedFace] = ()
        for frame in clip.frames():
            if sampling.takes(frame.time):
                result = frame_prediction(frame, analyzer.process_pixels(frame.pixels, options.frame), tracked)
                faces = result.faces
                analysed += 1
                if timeline:
                    timeline.add(result)
                on_result(result)
            if video:
                video.add(painter.add(frame, faces))
            on_frame(frame.time)
        if video:
            video.add(painter.rest())
    return analysed


def frame_prediction(frame: ClipFrame, prediction: Prediction, tracked: TrackedStream) -> FramePrediction:
    """Return the prediction of a frame with its place in the clip and the tracks of its faces.

    Args:
        frame: The frame.
        prediction: Its faces.
        tracked: The faces of the frames before; takes these.
    """
    return FramePrediction(
        frame=frame.number,
        time=round(frame.time, 4),
        image=prediction.image,
        faces=tracked.update(prediction, frame.time),
        model=prediction.model,
    )
