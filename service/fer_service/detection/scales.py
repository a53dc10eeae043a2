"""Detection at three scales of an image, joined.

A network finds faces of a limited range of sizes. In a large image it misses a close face, or reports its parts as
faces. At half or a quarter of the size it finds the same face. Most images show only such faces. So the half scale
is searched first, and the full scale only if a doubt is left. A face is dropped if another scale should also find
it but does not. docs/decisions/scales.md has the measurements.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.boxes import iou, overlap_coefficient
from fer_service.contract.job import Job
from fer_service.detection.close_look import confirmed_closely
from fer_service.detection.detector import Detector, Face
from fer_service.detection.resizing import enlarged, halved, shrunk

# Each scale collects candidates down to this share of the wanted score. At half the size, a small face next to a
# large one scores no more.
CANDIDATE_SCORE_RATIO: Final = 1 / 6
# Pixels at the half scale. Boxes of smaller faces are less exact, and still smaller faces may be missed.
MIN_FACE_HEIGHT: Final = 32.0
# A scale with a shorter long side, in pixels, adds nothing.
MIN_SIDE: Final = 64
# A smaller image is enlarged to this long side in pixels: the built-in detector misses most faces of thumbnails.
MIN_IMAGE_SIDE: Final = 128
# A scale finds a face of this height, in its own pixels, with at least this share of the wanted score. For the
# best face any candidate is enough.
SURE_HEIGHTS: Final = (28.0, 200.0)
CONFIRMING_SCORE_RATIO: Final = 1 / 2
# The best face may stay without it, rather than none, if its score is this multiple of the wanted one.
ALONE_SCORE_RATIO: Final = 1.1
# One or two faces lower than this share of the highest one are likely buttons or leaves in a portrait. More of
# them are a crowd. Below this multiple of the wanted score, scales at which they are smaller must find them
# too, from this height on.
MINOR_HEIGHT_RATIO: Final = 1 / 3
MAX_MINOR: Final = 2
MINOR_SCORE_RATIO: Final = 1.25
MIN_VISIBLE_HEIGHT: Final = 8.0
_STEPS: Final = 3  # full, half, quarter
_OVERLAP: Final = 0.4  # boxes that overlap by more (IoU) are the same face
_LOOSE_OVERLAP: Final = 0.3  # the same, for boxes of different scales
_NESTED: Final = 0.65  # a box that lies in another by more than this share of its area is a part of that face


@dataclass(frozen=True)
class Look:
    """Detections of one scale.

    Attributes:
        pixels: The image at this scale, uint8 [h, w, 3].
        scale: Pixels of this scale per pixel of the whole image.
        candidates: Faces and weaker candidates, in pixels of the whole image.
    """

    pixels: NDArray[np.uint8]
    scale: float
    candidates: list[Face]

    def scaled(self, factor_x: float, factor_y: float) -> "Look":
        """Return the same look at an image resized by these factors."""
        candidates = [face.scaled(factor_x, factor_y) for face in self.candidates]
        return Look(self.pixels, self.scale / max(factor_x, factor_y), candidates)


class Scales:
    """A detector at three scales, behind the `Detector` protocol."""

    def __init__(self, network: Detector, *, coarse_first: bool = True, looks_closely: bool = True) -> None:
        """Wrap a detector.

        Args:
            network: Detector for each scale.
            coarse_first: Skip the full scale if the smaller ones are conclusive.
            looks_closely: Leave out doubtful faces that a close look does not show.
        """
        self.network, self.coarse_first, self._looks_closely = network, coarse_first, looks_closely
        self.name, self.side, self.frame_scale = network.name, network.side, network.frame_scale

    def around(self, network: Detector) -> "Scales":
        """Return the same search with another network."""
        return Scales(network, coarse_first=self.coarse_first, looks_closely=self._looks_closely)

    def with_doubtful_faces(self) -> "Scales":
        """Return the same search without the close look."""
        return Scales(self.network, coarse_first=self.coarse_first, looks_closely=False)

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        """Find the faces of an image (see `Detector.detect`)."""
        return self.search(pixels, min_score, job)[0]

    def search(
        self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None
    ) -> tuple[list[Face], list[Look]]:
        """Find the faces of an image; return also what each scale that was searched showed."""
        larger = enlarged(pixels, MIN_IMAGE_SIDE)
        faces, looks = self._search(larger, min_score, job)
        if self._looks_closely:
            faces = confirmed_closely(self.network, larger, faces, min_score, job)
        if larger is pixels:
            return faces, looks
        factors = pixels.shape[1] / larger.shape[1], pixels.shape[0] / larger.shape[0]
        return [face.scaled(*factors) for face in faces], [look.scaled(*factors) for look in looks]

    def _search(
        self, pixels: NDArray[np.uint8], min_score: float, job: Job | None
    ) -> tuple[list[Face], list[Look]]:
        full, *smaller = scaled(pixels, self.side)
        looks: list[Look] = []
        for small in smaller:
            looks.append(self._look(small, pixels, min_score, job))
            faces, confirmed = together(looks, min_score)
            if self.coarse_first and confirmed.all() and _is_conclusive(faces, looks[0]):
                return faces, looks
            if self.coarse_first and faces:
                break  # a still closer face is unlikely
        looks.append(self._look(full, pixels, min_score, job))
        faces, confirmed = together(looks, min_score)
        if faces and (faces[0].score or 0) >= min_score * ALONE_SCORE_RATIO:
            confirmed[0] = True
        return [face for face, is_confirmed in zip(faces, confirmed, strict=True) if is_confirmed], looks

    def _look(
        self, small: NDArray[np.uint8], pixels: NDArray[np.uint8], min_score: float, job: Job | None
    ) -> Look:
        found = self.network.detect(small, min_score * CANDIDATE_SCORE_RATIO, job)
        factors = pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0]
        scale = max(small.shape[:2]) / max(pixels.shape[:2])
        return Look(small, scale, [face.scaled(*factors) for face in found])


def scaled(pixels: NDArray[np.uint8], side: int) -> list[NDArray[np.uint8]]:
    """Return the image uint8 [H, W, 3] at each scale. The first has a long side of at most `side`."""
    images = [shrunk(pixels, side)]
    while len(images) < _STEPS and max(images[-1].shape[:2]) // 2 >= MIN_SIDE:
        images.append(halved(images[-1]))
    return images


def together(looks: list[Look], min_score: float) -> tuple[list[Face], NDArray[np.bool_]]:
    """Join what several scales show.

    Returns:
        The faces with the score, best first, and for each whether all scales that should see it do.
    """
    candidates = [face for look in looks for face in look.candidates]
    faces = without_overlaps([face for face in candidates if (face.score or 0) >= min_score])
    boxes, scores, confirmed = _boxes(faces), _scores(faces), np.ones(len(faces), bool)
    minor = boxes[:, 3] < MINOR_HEIGHT_RATIO * boxes[:, 3].max(initial=0)
    enough = np.full(len(faces), min_score * CONFIRMING_SCORE_RATIO)
    enough[:1] = min_score * CANDIDATE_SCORE_RATIO
    doubtful = minor & (minor.sum() <= MAX_MINOR) & (scores < min_score * MINOR_SCORE_RATIO)
    for look in looks:
        heights = boxes[:, 3] * look.scale
        same = iou(boxes[:, None], _boxes(look.candidates)) > _LOOSE_OVERLAP
        shown = (same * _scores(look.candidates)).max(axis=1, initial=0)
        lowest = np.where(doubtful, MIN_VISIBLE_HEIGHT, SURE_HEIGHTS[0])
        confirmed &= (heights < lowest) | (heights > SURE_HEIGHTS[1]) | (shown >= enough)
    return faces, confirmed


def without_overlaps(faces: list[Face]) -> list[Face]:
    """Return the faces without duplicates and parts, best first (non-maximum suppression)."""
    faces = sorted(faces, key=lambda face: -(face.score or 0))
    boxes, left, kept = _boxes(faces), np.arange(len(faces)), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(faces[best])
        nested = overlap_coefficient(boxes[best], boxes[left]) > _NESTED
        left = left[~nested & (iou(boxes[best], boxes[left]) <= _OVERLAP)]
    return kept


def _is_conclusive(faces: list[Face], half: Look) -> bool:
    """Return True if the full scale would add nothing to the faces that the smaller scales show."""
    if not faces or any(face.box.height * half.scale < MIN_FACE_HEIGHT for face in faces):
        return False
    # A candidate that is one of the faces, or a part of it, leaves no doubt.
    known = (overlap_coefficient(_boxes(half.candidates)[:, None], _boxes(faces)) > _NESTED).any(axis=1)
    return bool(known.all())


def _boxes(faces: list[Face]) -> NDArray[np.float64]:
    """Return the boxes [n, 4]."""
    return np.array([face.box for face in faces], np.float64).reshape(-1, 4)


def _scores(faces: list[Face]) -> NDArray[np.float64]:
    """Return the scores [n]."""
    return np.array([face.score or 0 for face in faces], np.float64)
