"""Which face of this frame is which of the last ones.

Boxes are matched as SORT does it (Bewley et al. 2016, "Simple Online and Realtime Tracking", arXiv:1602.00763):
each track foresees where it is now, and foreseen and found boxes are paired by their overlap (IoU). Faces are few
and far apart, so pairs are taken greedily, the best first, and what moved too far to overlap is paired by the
distance of the centres, measured in the size of the faces.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

BoxXYWH = tuple[float, float, float, float]

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
    box: BoxXYWH
    seen: float
    velocity: tuple[float, float] = (0.0, 0.0)

    def foreseen(self, time: float) -> BoxXYWH:
        """Where it should be now, if it goes on as it did."""
        x, y, width, height = self.box
        ahead = min(time - self.seen, _FORESIGHT)
        return x + self.velocity[0] * ahead, y + self.velocity[1] * ahead, width, height

    def moved(self, box: BoxXYWH, time: float) -> "Track":
        """The same face, seen again."""
        elapsed = time - self.seen
        if elapsed <= 0:
            return replace(self, box=box)
        (old_x, old_y), (x, y) = _centre(self.box), _centre(box)
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

    def update(self, boxes: Sequence[BoxXYWH], time: float) -> list[int]:
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
        missed = [track for index, track in enumerate(alive) if index not in matches.values()]
        self._tracks = [*found.values(), *missed]
        return [track.id for track in found.values()]

    @property
    def ids(self) -> frozenset[int]:
        """Of the faces that are there or may still return."""
        return frozenset(track.id for track in self._tracks)


def _matched(tracks: Sequence[BoxXYWH], boxes: Sequence[BoxXYWH]) -> dict[int, int]:
    """From the index of a box to that of its track."""
    matches: dict[int, int] = {}
    for score, least in ((_overlap, _LEAST_OVERLAP), (_closeness, -_MOST_DISTANCE)):
        _match_greedily(tracks, boxes, score, least, matches)
    return matches


def _match_greedily(
    tracks: Sequence[BoxXYWH],
    boxes: Sequence[BoxXYWH],
    score: Callable[[BoxXYWH, BoxXYWH], float],
    least: float,
    matches: dict[int, int],
) -> None:
    """Add the pairs of what is not matched yet, the best first."""
    free_tracks = [index for index in range(len(tracks)) if index not in matches.values()]
    free_boxes = [index for index in range(len(boxes)) if index not in matches]
    pairs: Iterable[tuple[float, int, int]] = (
        (score(tracks[track], boxes[box]), box, track) for box in free_boxes for track in free_tracks
    )
    taken = set(matches.values())
    for value, box, track in sorted(pairs, key=lambda pair: -pair[0]):
        if value < least:
            return
        if box not in matches and track not in taken:
            matches[box] = track
            taken.add(track)


def _overlap(one: BoxXYWH, other: BoxXYWH) -> float:
    """Intersection over union, 0 to 1."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def _closeness(one: BoxXYWH, other: BoxXYWH) -> float:
    """Minus the distance of the centres in sides of the mean box; minus infinity for sizes too different."""
    side, other_side = math.sqrt(one[2] * one[3]), math.sqrt(other[2] * other[3])
    if max(side, other_side) > _MOST_GROWTH * min(side, other_side):
        return -math.inf
    return -math.dist(_centre(one), _centre(other)) / ((side + other_side) / 2)


def _centre(box: BoxXYWH) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[3] / 2
