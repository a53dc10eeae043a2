"""How well a detector's boxes meet the faces of photographs: average precision, and recall by false boxes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from fer_service.detection.detector import Detector, Face
from numpy.typing import NDArray

from fer_training.detector.boxes import Boxes, overlaps
from fer_training.detector.photographs import Photograph

Floats = NDArray[np.float64]
LEAST_HEIGHT = 12.0  # pixels; smaller faces count neither as found nor as missed
SIZES = {"12–24": (12.0, 24.0), "24–48": (24.0, 48.0), "48+": (48.0, np.inf)}
_UNSCORED = 1.0  # what a box counts with where the detector has no scores


@dataclass(frozen=True)
class EvalResult:
    """All boxes and all faces of a set of photographs, and which belongs to which.

    Attributes:
        images: How many photographs.
        scores: float64 [n], of the boxes.
        heights: float64 [n], of the boxes, pixels.
        image: int64 [n], the photograph that each box is of.
        face: int64 [n], the face that each box meets; -1 where none.
        face_heights: float64 [m], pixels.
        bare: bool [m].
        face_image: int64 [m].
    """

    images: int
    scores: Floats
    heights: Floats
    image: NDArray[np.int64]
    face: NDArray[np.int64]
    face_heights: Floats
    bare: NDArray[np.bool_]
    face_image: NDArray[np.int64]

    def kinds(self) -> dict[str, tuple[NDArray[np.bool_], tuple[float, float]]]:
        """Faces bool [m] by kind, and the heights that boxes of the kind have."""
        found = {"all": (self.face_heights >= LEAST_HEIGHT, (LEAST_HEIGHT, np.inf))}
        for name, chosen in (("bare", self.bare), ("covered", ~self.bare)):
            for size, (low, high) in {**SIZES, "24+": (24.0, np.inf)}.items():
                found[f"{name} {size}"] = (
                    chosen & (self.face_heights >= low) & (self.face_heights < high),
                    (low, high),
                )
        return found

    def curve(self, faces: NDArray[np.bool_], heights: tuple[float, float]) -> tuple[Floats, Floats, Floats]:
        """Precision and recall as boxes are let in by score, best first, and those scores.

        Args:
            faces: bool [m], those that count; boxes on others count neither way.
            heights: Boxes on no face count as false within these.
        """
        met = self.face >= 0
        low, high = heights
        right = met & np.where(met, faces[self.face], False) if len(faces) else met
        false = ~met & (self.heights >= low) & (self.heights < high)
        order = np.argsort(-self.scores, kind="stable")
        order = order[(right | false)[order]]
        hits = np.cumsum(right[order])
        precision = hits / np.arange(1, len(order) + 1)
        return precision, hits / max(int(faces.sum()), 1), self.scores[order]

    def average_precision(self, faces: NDArray[np.bool_], heights: tuple[float, float]) -> float:
        """Area under the precision's envelope over recall (Everingham et al. 2010, VOC, the area since 2010)."""
        precision, recall, _ = self.curve(faces, heights)
        if not len(precision):
            return 0.0
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        return float((np.diff(recall, prepend=0.0) * envelope).sum())

    def score_at(self, false_boxes: float) -> float:
        """The least score that leaves so many false boxes an image at most."""
        false = np.sort(self.scores[(self.face < 0) & (self.heights >= LEAST_HEIGHT)])[::-1]
        allowed = int(false_boxes * self.images)
        return float(np.nextafter(false[allowed], np.inf)) if len(false) > allowed else 0.0

    def recall(self, faces: NDArray[np.bool_], least: float) -> float:
        """Share of the faces that are found with at least this score."""
        hit = np.zeros(len(faces), bool)
        hit[self.face[(self.face >= 0) & (self.scores >= least)]] = True
        return float(hit[faces].mean()) if faces.any() else 0.0

    def false_boxes(self, least: float) -> float:
        """Boxes an image that meet no face, with at least this score."""
        false = (self.face < 0) & (self.heights >= LEAST_HEIGHT) & (self.scores >= least)
        return float(false.sum() / self.images)


def evaluate(
    detector: Detector, photographs: Sequence[Photograph], *, min_score: float = 0.01, overlap: float = 0.5
) -> EvalResult:
    """Find the faces of photographs, and match each box to the face it meets best, best boxes first.

    Args:
        detector: What is judged; its boxes without a score count as certain.
        photographs: At the size that sizes are meant at.
        min_score: Boxes below it are not looked at.
        overlap: Intersection over union from which a box meets a face.
    """
    return matched([detector.detect(photo.pixels, min_score) for photo in photographs], photographs, overlap)


def matched(found: Sequence[list[Face]], photographs: Sequence[Photograph], overlap: float) -> EvalResult:
    """Match the boxes found in each photograph to its faces."""
    scores, heights, images, faces, first = [], [], [], [], 0
    for number, (boxes, photo) in enumerate(zip(found, photographs, strict=True)):
        ranked = sorted(boxes, key=lambda face: -(face.score or _UNSCORED))
        scores += [_UNSCORED if face.score is None else face.score for face in ranked]
        heights += [face.box.height for face in ranked]
        images += [number] * len(ranked)
        faces += [index + first if index >= 0 else -1 for index in _matches(corners(ranked), photo.boxes, overlap)]
        first += len(photo.boxes)
    truth = np.concatenate([photo.boxes for photo in photographs])
    return EvalResult(
        images=len(photographs),
        scores=np.array(scores, np.float64),
        heights=np.array(heights, np.float64),
        image=np.array(images, np.int64),
        face=np.array(faces, np.int64),
        face_heights=(truth[:, 3] - truth[:, 1]).astype(np.float64),
        bare=np.concatenate([photo.bare for photo in photographs]),
        face_image=np.repeat(np.arange(len(photographs)), [len(photo.boxes) for photo in photographs]),
    )


def corners(faces: Sequence[Face]) -> Boxes:
    """Boxes float32 [n, 4]: left, top, right, bottom."""
    edges = [(face.box.x, face.box.y, face.box.x + face.box.width, face.box.y + face.box.height) for face in faces]
    return np.array(edges, np.float32).reshape(-1, 4)


def _matches(boxes: Boxes, truth: Boxes, overlap: float) -> list[int]:
    """For each box, in order, the face not yet taken that it overlaps most; -1 where by too little."""
    shared = overlaps(boxes, truth)
    answers = []
    for row in shared:
        best = int(row.argmax()) if len(row) else -1
        if best < 0 or row[best] < overlap:
            answers.append(-1)
            continue
        answers.append(best)
        shared[:, best] = 0
    return answers
