"""Which face of this frame is which of the last ones.

Boxes are matched as SORT does it (Bewley et al. 2016, "Simple Online and Realtime Tracking", arXiv:1602.00763):
each track foresees where it is now, and foreseen and found boxes are paired by their overlap (IoU). Faces are few
and far apart, so pairs are taken greedily, the best first, and what moved too far to overlap is paired by the
distance of the centres, measured in the size of the faces.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.boxes import Box, iou

_LEAST_OVERLAP: Final = 0.2  # IoU
_MOST_DISTANCE: Final = 1.0  # of the centres, in sides of the mean box
_MOST_GROWTH: Final = 2.0  # a face does not double its side between two frames
_FORESIGHT: Final = 0.3  # seconds a movement is believed to go on
_STEADINESS: Final = 0.1  # seconds: half-life of the movement's average


@dataclass(frozen=True)
class Track:
    """A face that has been seen.

    Attributes:
        id: Its number, never used again.
        box: Left, top, width and height, where it was seen last.
        seen: When that was, seconds.
        velocity: Of its centre, pixels a second.
    """

    id: int
    box: Box
    seen: float
    velocity: tuple[float, float] = (0.0, 0.0)

    def foreseen(self, time: float) -> Box:
        """Where it should be now, if it goes on as it did."""
        x, y, width, height = self.box
        ahead = min(time - self.seen, _FORESIGHT)
        return Box(x + self.velocity[0] * ahead, y + self.velocity[1] * ahead, width, height)

    def moved(self, box: Box, time: float) -> "Track":
        """The same face, seen again."""
        elapsed = time - self.seen
        if elapsed <= 0:
            return replace(self, box=box)
        (old_x, old_y), (x, y) = self.box.center, box.center
        weight = 1 - 0.5 ** (elapsed / _STEADINESS)
        velocity = (
            self.velocity[0] + weight * ((x - old_x) / elapsed - self.velocity[0]),
            self.velocity[1] + weight * ((y - old_y) / elapsed - self.velocity[1]),
        )
        return Track(self.id, box, time, velocity)


class Tracker:
    """Gives the faces of one stream their ids."""

    def __init__(self, survives: float = 1.0) -> None:
        """Start without faces.

        Args:
            survives: Seconds a face may be unseen and still be the same when it returns.
        """
        self.survives = survives
        self._tracks: list[Track] = []
        self._ids = itertools.count(1)

    def update(self, boxes: Sequence[Box], time: float) -> list[int]:
        """Take the next frame's boxes.

        Args:
            boxes: Left, top, width and height in pixels.
            time: Of the frame, seconds; never less than the last one's.

        Returns:
            One id a box, in order; new faces count on from 1.
        """
        alive = [track for track in self._tracks if time - track.seen <= self.survives]
        foreseen = [track.foreseen(time) for track in alive]
        matches = _matched(foreseen, boxes)
        found = {
            index: alive[matches[index]].moved(box, time)
            if index in matches
            else Track(next(self._ids), box, time)
            for index, box in enumerate(boxes)
        }
        matched = set(matches.values())
        missed = [track for index, track in enumerate(alive) if index not in matched]
        self._tracks = [*found.values(), *missed]
        return [track.id for track in found.values()]

    @property
    def ids(self) -> frozenset[int]:
        """Of the faces that are there or may still return."""
        return frozenset(track.id for track in self._tracks)


def _matched(tracks: Sequence[Box], boxes: Sequence[Box]) -> dict[int, int]:
    """From the index of a box to that of its track."""
    matches: dict[int, int] = {}
    if tracks and boxes:
        old, new = np.array(tracks, float)[None, :], np.array(boxes, float)[:, None]
        for scores, least in ((iou(new, old), _LEAST_OVERLAP), (_closeness(new, old), -_MOST_DISTANCE)):
            _match_greedily(scores, least, matches)
    return matches


def _match_greedily(scores: NDArray[np.float64], least: float, matches: dict[int, int]) -> None:
    """Add the pairs of what is not matched yet, the best first; scores have a row a box and a column a track."""
    taken = set(matches.values())
    rows, columns = np.nonzero(scores >= least)
    best_first = np.argsort(-scores[rows, columns], kind="stable")
    for box, track in zip(rows[best_first].tolist(), columns[best_first].tolist(), strict=True):
        if box not in matches and track not in taken:
            matches[box] = track
            taken.add(track)


def _closeness(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus the distance of the centres in sides of the mean box; minus infinity for sizes too different."""
    side, other_side = (np.sqrt(np.prod(boxes[..., 2:], axis=-1)) for boxes in (one, other))
    apart = one[..., :2] + one[..., 2:] / 2 - other[..., :2] - other[..., 2:] / 2
    distance: NDArray[np.float64] = np.hypot(apart[..., 0], apart[..., 1]) / ((side + other_side) / 2)
    similar = np.maximum(side, other_side) <= _MOST_GROWTH * np.minimum(side, other_side)
    return np.where(similar, -distance, -np.inf)
