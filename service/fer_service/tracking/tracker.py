"""Multi-object tracking: matches the faces of a frame with those of earlier frames.

The method follows SORT (Bewley et al. 2016, "Simple Online and Realtime Tracking", arXiv:1602.00763): each track
predicts its box, and predicted and detected boxes are matched by IoU. Faces are few and far apart, so matching is
greedy, best first. Faces that moved too far to overlap are matched by the distance of the centres, relative to the
size of the faces.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.boxes import Box, iou

_MIN_IOU: Final = 0.2
_MAX_DISTANCE: Final = 1.0  # distance of the centres, as a multiple of the mean side of both boxes
_MAX_SIZE_RATIO: Final = 2.0  # a face does not double its side between two frames
_MAX_PREDICTION: Final = 0.3  # seconds for which a movement is extrapolated
_VELOCITY_HALF_LIFE: Final = 0.1  # seconds


@dataclass(frozen=True)
class Track:
    """A tracked face.

    Attributes:
        id: Track id, unique in a stream.
        box: Last detected box.
        last_seen: Time of the last detection in seconds.
        velocity: Velocity of the centre in pixels per second, as x and y.
    """

    id: int
    box: Box
    last_seen: float
    velocity: tuple[float, float] = (0.0, 0.0)

    def predicted(self, time: float) -> Box:
        """Return the box extrapolated to this time."""
        x, y, width, height = self.box
        ahead = min(time - self.last_seen, _MAX_PREDICTION)
        return Box(x + self.velocity[0] * ahead, y + self.velocity[1] * ahead, width, height)

    def moved(self, box: Box, time: float) -> "Track":
        """Return the track after a new detection."""
        elapsed = time - self.last_seen
        if elapsed <= 0:
            return replace(self, box=box)
        (old_x, old_y), (x, y) = self.box.center, box.center
        weight = 1 - 0.5 ** (elapsed / _VELOCITY_HALF_LIFE)
        velocity = (
            self.velocity[0] + weight * ((x - old_x) / elapsed - self.velocity[0]),
            self.velocity[1] + weight * ((y - old_y) / elapsed - self.velocity[1]),
        )
        return Track(self.id, box, time, velocity)


class Tracker:
    """Assigns track ids to the faces of one stream.

    Attributes:
        max_age: Seconds without a detection after which a track is dropped.
        next_id: Id of the next new face.
    """

    def __init__(
        self, max_age: float = 1.0, tracks: Sequence[Track] = (), next_id: int = 1, *, keeps_last: bool = False
    ) -> None:
        """Start without faces, or go on with those of another tracker.

        Args:
            max_age: Seconds without a detection after which a track is dropped.
            tracks: Tracks to go on with.
            next_id: Id of the next new face.
            keeps_last: Also keep the tracks of the last frame, however long ago it was, as in a slow stream.
        """
        self.max_age = max_age
        self._keeps_last = keeps_last
        self._last_time = -math.inf
        self._tracks = list(tracks)
        self.next_id = next_id

    def update(self, boxes: Sequence[Box], time: float) -> list[int]:
        """Add the boxes of the next frame.

        Args:
            boxes: Detected boxes in pixels.
            time: Time of the frame in seconds, not before that of the last frame.

        Returns:
            One track id per box, in order; ids count from 1.
        """
        oldest = time - self.max_age
        if self._keeps_last:
            oldest = min(oldest, self._last_time)
        self._last_time = time
        alive = [track for track in self._tracks if track.last_seen >= oldest]
        predicted = [track.predicted(time) for track in alive]
        matches = _match(predicted, boxes)
        found = {
            index: alive[matches[index]].moved(box, time) if index in matches else self._new(box, time)
            for index, box in enumerate(boxes)
        }
        matched = set(matches.values())
        missed = [track for index, track in enumerate(alive) if index not in matched]
        self._tracks = [*found.values(), *missed]
        return [track.id for track in found.values()]

    @property
    def tracks(self) -> Sequence[Track]:
        """All tracks that are not dropped, those of the last frame first."""
        return self._tracks

    def _new(self, box: Box, time: float) -> Track:
        self.next_id += 1
        return Track(self.next_id - 1, box, time)


def _match(tracks: Sequence[Box], boxes: Sequence[Box]) -> dict[int, int]:
    """Return the index of the matching track by the index of the box."""
    matches: dict[int, int] = {}
    if tracks and boxes:
        old, new = np.array(tracks, float)[None, :], np.array(boxes, float)[:, None]
        for scores, min_score in ((iou(new, old), _MIN_IOU), (_closeness(new, old), -_MAX_DISTANCE)):
            _match_greedily(scores, min_score, matches)
    return matches


def _match_greedily(scores: NDArray[np.float64], min_score: float, matches: dict[int, int]) -> None:
    """Add matches between unmatched boxes (rows of `scores`) and tracks (columns), best first."""
    taken = set(matches.values())
    rows, columns = np.nonzero(scores >= min_score)
    best_first = np.argsort(-scores[rows, columns], kind="stable")
    for box, track in zip(rows[best_first].tolist(), columns[best_first].tolist(), strict=True):
        if box not in matches and track not in taken:
            matches[box] = track
            taken.add(track)


def _closeness(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return minus the distance of the centres relative to the mean side, or -inf if the sizes differ too much."""
    side, other_side = (np.sqrt(np.prod(boxes[..., 2:], axis=-1)) for boxes in (one, other))
    apart = one[..., :2] + one[..., 2:] / 2 - other[..., :2] - other[..., 2:] / 2
    distance: NDArray[np.float64] = np.hypot(apart[..., 0], apart[..., 1]) / ((side + other_side) / 2)
    similar = np.maximum(side, other_side) <= _MAX_SIZE_RATIO * np.minimum(side, other_side)
    return np.where(similar, -distance, -np.inf)
