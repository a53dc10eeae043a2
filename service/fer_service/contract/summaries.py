"""Summaries of faces that come one image or frame after another."""

from collections import Counter
from collections.abc import Iterable

from fer_service.contract.schemas import FaceEmotion, Summary, TimeSummary, TrackedFace, summarized


class FaceCounts:
    """Counts faces by emotion; memory does not grow with their number."""

    def __init__(self) -> None:
        self._emotions: Counter[str] = Counter()
        self._uncertain = 0

    def add(self, faces: Iterable[FaceEmotion]) -> None:
        """Count the faces of an image or a frame."""
        for face in faces:
            self._emotions[face.emotion] += 1
            self._uncertain += face.uncertain

    def summary(self) -> Summary:
        """Return the counts until now."""
        return summarized(self._emotions, self._uncertain)


class FrameCounts:
    """Counts the faces of a video or a stream."""

    def __init__(self) -> None:
        self._faces = FaceCounts()
        self._frames = 0
        self._tracks = 0

    def add(self, faces: Iterable[TrackedFace]) -> None:
        """Count the faces of the next frame."""
        counted = list(faces)
        self._faces.add(counted)
        self._frames += 1
        self._tracks = max([self._tracks, *(face.id for face in counted)])  # ids count from 1

    def summary(self) -> TimeSummary:
        """Return the counts until now."""
        return TimeSummary(**dict(self._faces.summary()), frames=self._frames, tracks=self._tracks)


def sentence_of(summary: Summary) -> str:
    """Return a summary as one line."""
    counts = ", ".join(f"{count} {emotion}" for emotion, count in summary.emotions.items())
    where = ""
    if isinstance(summary, TimeSummary):
        where = f" in {summary.frames} {'frame' if summary.frames == 1 else 'frames'}"
    faces = f"{summary.faces} {'face' if summary.faces == 1 else 'faces'}{where}"
    return f"{faces}: {counts}; {summary.uncertain:.0%} uncertain" if summary.faces else faces
