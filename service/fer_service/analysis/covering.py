"""Faces that are found, covered, looked for again, and covered again, until none is found or eight times."""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.boxes import Box, overlap_coefficient
from fer_service.contract.job import Job
from fer_service.detection.detector import Detector
from fer_service.detection.orientations import search_all_orientations
from fer_service.imaging.cover import Cover, cover, with_margin

# What may be a face is covered too: a covered wall does less harm than a face that is left.
COVER_SCORE: Final = 0.3
_ATTEMPTS: Final = 8
_PATTERNS: Final = 4  # attempts with other patterns alone; then what is found is covered too
_INSIDE: Final = 0.3  # share of the smaller of two boxes that lies inside the other


def possible_faces(detector: Detector, pixels: NDArray[np.uint8], job: Job | None = None) -> list[Box]:
    """Return all that may be a face, upright or turned, in pixels of the image uint8 [H, W, 3]."""
    return [face.box for face in search_all_orientations(detector, pixels, COVER_SCORE, job)]


def cover_faces(
    detector: Detector, pixels: NDArray[np.uint8], boxes: Iterable[Box], kind: Cover, job: Job | None = None
) -> None:
    """Cover faces in place, and look again.

    What the detector finds afterwards over a covered face is a false alarm, but a program that counts faces would
    take it for one. Such a face gets another pattern; other faces are covered too. What the eighth search finds is
    covered, but not looked for again.

    Args:
        detector: Looks again.
        pixels: uint8 [H, W, 3], writable.
        boxes: Faces in pixels of the image.
        kind: How to cover them.
        job: Work that the image belongs to.
    """
    hidden = list(boxes)
    todo = hidden
    for attempt in range(_ATTEMPTS):
        if job:
            job.check_deadline("faces to be covered")
        for box in sorted(todo, key=lambda box: box.area):  # the largest pattern stays whole
            cover(pixels, box, kind, attempt)
        found = possible_faces(detector, pixels, job)
        todo = []
        for box in found:
            under = _under(box, hidden)
            todo += under
            if not under or attempt >= _PATTERNS:
                hidden.append(box)
                todo.append(box)
        if not todo:
            return
    for box in todo:
        cover(pixels, box, kind, _ATTEMPTS)


def _under(box: Box, hidden: list[Box]) -> list[Box]:
    """Return the covered faces under a box."""
    if not hidden:
        return []
    shares = overlap_coefficient(np.array(box), np.array([with_margin(other) for other in hidden]))
    return [other for other, share in zip(hidden, shares.tolist(), strict=True) if share > _INSIDE]
