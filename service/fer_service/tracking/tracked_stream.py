"""One stream's predictions → the same with ids and smoothed probabilities."""

from typing import Final

from fer_service.contract.boxes import Box
from fer_service.contract.schemas import FaceEmotion, Prediction, TrackedFace
from fer_service.tracking.smoothing import Smoother
from fer_service.tracking.tracker import Tracker

HALF_LIFE: Final = 0.5  # seconds


class TrackedStream:
    """Follows the faces of one stream; its frames have to come in order."""

    def __init__(self, uncertain_below: float, half_life: float = HALF_LIFE) -> None:
        """Start without faces.

        Args:
            uncertain_below: The model's threshold, for the smoothed confidence.
            half_life: Of the smoothing, seconds; 0 turns it off.
        """
        self._uncertain_below = uncertain_below
        self._tracker = Tracker()
        self._smoother = Smoother(half_life)

    def follow(self, prediction: Prediction, time: float) -> list[TrackedFace]:
        """The next frame's faces, in the prediction's order.

        Args:
            prediction: Of the frame.
            time: Of the frame, seconds; never less than the last one's.
        """
        boxes = [face.box for face in prediction.faces]
        ids = self._tracker.update([Box(box.x, box.y, box.width, box.height) for box in boxes], time)
        faces = [self._tracked(face, number, time) for face, number in zip(prediction.faces, ids, strict=True)]
        self._smoother.keep(self._tracker.ids)
        return faces

    def _tracked(self, face: FaceEmotion, number: int, time: float) -> TrackedFace:
        smooth = self._smoother.update(number, face.probabilities, time)
        emotion = max(smooth, key=smooth.__getitem__)
        return TrackedFace(
            id=number,
            box=face.box,
            score=face.score,
            landmarks=face.landmarks,
            emotion=emotion,
            confidence=round(smooth[emotion], 6),
            uncertain=smooth[emotion] < self._uncertain_below,
            probabilities={label: round(value, 6) for label, value in smooth.items()},
            raw_probabilities=face.probabilities,
        )
