"""Detection metrics: average precision, recall and false boxes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from fer_service.detection.detector import Detector, Face
from numpy.typing import NDArray
from torchvision.ops import box_iou

from fer_training.tasks.detection.boxes import Boxes
from fer_training.tasks.detection.photographs import Photograph

Floats = NDArray[np.float64]
MIN_HEIGHT = 12.0  # pixels; smaller faces are ignored
SIZES = {"12–24": (12.0, 24.0), "24–48": (24.0, 48.0), "48+": (48.0, np.inf)}
_MIN_SCORE = 0.01
_OVERLAP = 0.5  # minimum IoU of a match
_UNSCORED = 1.0  # score of boxes from detectors without scores


@dataclass(frozen=True)
class EvalResult:
    """Detected boxes and ground-truth faces of all photographs, and their matching.

    Attributes:
        images: Number of photographs.
        scores: float64 [n], score of each box.
        heights: float64 [n], height of each box in pixels.
        image: int64 [n], photograph of each box.
        face: int64 [n], matched face of each box, -1 for none.
        face_heights: float64 [m], height of each face in pixels.
        bare: bool [m], True for faces that nothing hides.
        face_image: int64 [m], photograph of each face.
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
        """Return for each kind of face a mask bool [m] and the range of box heights in pixels."""
        found = {"all": (self.face_heights >= MIN_HEIGHT, (MIN_HEIGHT, np.inf))}
        for name, chosen in (("bare", self.bare), ("occluded", ~self.bare)):
            for size, (low, high) in {**SIZES, "24+": (24.0, np.inf)}.items():
                found[f"{name} {size}"] = (
                    chosen & (self.face_heights >= low) & (self.face_heights < high),
                    (low, high),
                )
        return found

    def curve(self, faces: NDArray[np.bool_], heights: tuple[float, float]) -> tuple[Floats, Floats, Floats]:
        """Compute precision and recall by decreasing score.

        Args:
            faces: bool [m], faces that count. Boxes on other faces are ignored.
            heights: Range of heights in which unmatched boxes count as false.

        Returns:
            Precision, recall and score after each box, best box first.
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
        """Compute the area under the precision envelope over recall (VOC 2010; Everingham et al. 2010)."""
        precision, recall, _ = self.curve(faces, heights)
        if not len(precision):
            return 0.0
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        return float((np.diff(recall, prepend=0.0) * envelope).sum())

    def score_at(self, false_boxes: float) -> float:
        """Return the lowest score threshold with at most `false_boxes` false boxes per image."""
        false = np.sort(self.scores[(self.face < 0) & (self.heights >= MIN_HEIGHT)])[::-1]
        allowed = int(false_boxes * self.images)
        return float(np.nextafter(false[allowed], np.inf)) if len(false) > allowed else 0.0

    def recall(self, faces: NDArray[np.bool_], least: float) -> float:
        """Return the share of faces found at a score threshold of `least`."""
        found = np.zeros(len(faces), bool)
        found[self.face[(self.face >= 0) & (self.scores >= least)]] = True
        return float(found[faces].mean()) if faces.any() else 0.0

    def false_boxes(self, least: float) -> float:
        """Return the false boxes per image at a score threshold of `least`."""
        false = (self.face < 0) & (self.heights >= MIN_HEIGHT) & (self.scores >= least)
        return float(false.sum() / self.images)


def evaluate(detector: Detector, photographs: Sequence[Photograph]) -> EvalResult:
    """Detect the faces of photographs, and match the boxes to the ground truth.

    Args:
        detector: Detector to evaluate. Boxes without a score count as score 1.
        photographs: Photographs, already resized for the evaluation.
    """
    return match_boxes([detector.detect(photo.pixels, _MIN_SCORE) for photo in photographs], photographs, _OVERLAP)


def _score(face: Face) -> float:
    return _UNSCORED if face.score is None else face.score


def match_boxes(found: Sequence[list[Face]], photographs: Sequence[Photograph], overlap: float) -> EvalResult:
    """Match the boxes detected in each photograph to its faces."""
    scores, heights, images, faces, first = [], [], [], [], 0
    for number, (boxes, photo) in enumerate(zip(found, photographs, strict=True)):
        ranked = sorted(boxes, key=_score, reverse=True)
        scores += [_score(face) for face in ranked]
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
    """Return boxes float32 [n, 4]: left, top, right, bottom."""
    edges = [(face.box.x, face.box.y, face.box.x + face.box.width, face.box.y + face.box.height) for face in faces]
    return np.array(edges, np.float32).reshape(-1, 4)


def _matches(boxes: Boxes, truth: Boxes, overlap: float) -> list[int]:
    """Match boxes in order, each to the unmatched face with the largest IoU. -1 means no match."""
    iou = box_iou(torch.from_numpy(boxes), torch.from_numpy(truth)).numpy()
    matches = []
    for row in iou:
        best = int(row.argmax()) if len(row) else -1
        if best < 0 or row[best] < overlap:
            matches.append(-1)
            continue
        matches.append(best)
        iou[:, best] = 0
    return matches
