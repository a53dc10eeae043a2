"""Drawing of an annotated clip: boxes and labels, covered faces, or the frames alone."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from fer_service.analysis.covering import cover_faces, possible_faces
from fer_service.analysis.drawing import Drawing, mark_of
from fer_service.contract.boxes import Box, overlap_coefficient
from fer_service.contract.schemas import TrackedFace
from fer_service.detection.detector import Detector
from fer_service.imaging.cover import Cover
from fer_service.imaging.draw import draw_marks
from fer_service.video.clip import ClipFrame

_BEFORE: Final = 0.4  # seconds for which a face stays covered where it was
_AHEAD: Final = 4  # frames by which a face is covered before it is found
_SAME_FACE: Final = 0.5  # share of the smaller of two boxes that lies inside the other


class Painter(Protocol):
    """Paints the frames of one clip, in order."""

    def add(self, frame: ClipFrame, faces: Sequence[TrackedFace]) -> Iterator[ClipFrame]:
        """Take the next frame; yield the frames that are ready.

        Args:
            frame: Frame; its pixels are overwritten.
            faces: Faces of the last analysed frame.
        """

    def rest(self) -> Iterator[ClipFrame]:
        """Yield the frames that are still to come, after the last frame."""


def open_painter(drawing: Drawing, detector: Detector) -> Painter:
    """Return the painter of a drawing."""
    if drawing == "box":
        return _Marks()
    return _Nothing() if drawing == "none" else _Covers(detector, drawing)


class _Nothing:
    def add(self, frame: ClipFrame, faces: Sequence[TrackedFace]) -> Iterator[ClipFrame]:
        yield frame

    def rest(self) -> Iterator[ClipFrame]:
        yield from ()


class _Marks(_Nothing):
    def add(self, frame: ClipFrame, faces: Sequence[TrackedFace]) -> Iterator[ClipFrame]:
        draw_marks(frame.pixels, [mark_of(face, f"#{face.id}") for face in faces])
        yield frame


@dataclass(frozen=True)
class _Found:
    frame: ClipFrame
    boxes: list[Box]


class _Covers:
    """Covers the faces of every frame, also of those that are not analysed.

    A detector misses a face in single frames, and one frame is enough to recognise a person. So a face is covered
    where it is found in this frame, shortly before and shortly after it.
    """

    def __init__(self, detector: Detector, kind: Cover) -> None:
        self._detector, self._kind = detector, kind
        self._past: deque[tuple[float, list[Box]]] = deque()
        self._waiting: deque[_Found] = deque()

    def add(self, frame: ClipFrame, faces: Sequence[TrackedFace]) -> Iterator[ClipFrame]:
        boxes = [Box(face.box.x, face.box.y, face.box.width, face.box.height) for face in faces]
        self._waiting.append(_Found(frame, boxes + possible_faces(self._detector, frame.pixels)))
        if len(self._waiting) > _AHEAD:
            yield self._covered()

    def rest(self) -> Iterator[ClipFrame]:
        while self._waiting:
            yield self._covered()

    def _covered(self) -> ClipFrame:
        frame = self._waiting[0].frame
        while self._past and self._past[0][0] < frame.time - _BEFORE:
            self._past.popleft()
        boxes = [box for _, past in self._past for box in past]
        boxes += [box for found in self._waiting for box in found.boxes]
        cover_faces(self._detector, frame.pixels, _merged(boxes), self._kind)
        self._past.append((frame.time, self._waiting.popleft().boxes))
        return frame


def _merged(boxes: list[Box]) -> list[Box]:
    """Join the boxes of a face that moves to one box around them."""
    merged: list[Box] = []
    for box in boxes:
        if merged:
            shares = overlap_coefficient(np.array(box), np.array(merged))
            best = int(shares.argmax())
            if shares[best] > _SAME_FACE:
                merged[best] = _around(merged[best], box)
                continue
        merged.append(box)
    return merged


def _around(one: Box, other: Box) -> Box:
    left, top = min(one.x, other.x), min(one.y, other.y)
    right, bottom = max(one.x + one.width, other.x + other.width), max(one.y + one.height, other.y + other.height)
    return Box(left, top, right - left, bottom - top)
