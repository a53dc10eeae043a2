"""Track ids and smoothed probabilities for the predictions of one stream."""

from typing import Final

from fer_service.contract.boxes import Box
from fer_service.contract.reasons import reasons_for
from fer_service.contract.schemas import FaceEmotion, Prediction, TrackedFace
from fer_service.tracking.smoothing import Smoother
from fer_service.tracking.tracker import Tracker

HALF_LIFE: Final = 0.5  # seconds


class TrackedStream:
    """Tracks the faces of one stream; frames must come in order."""

    def __init__(self, uncertain_below: float, half_life: float = HALF_LIFE) -> None:
        """Start without faces.

        Args:
            uncertain_below: Threshold of the model, applied to the smoothed confidence.
            half_life: Half-life of the smoothing in seconds; 0 turns smoothing off.
        """
        self._uncertain_below = uncertain_below
        self._tracker = Tracker()
        self._smoother = Smoother(half_life)

    def update(self, prediction: Prediction, time: float) -> list[TrackedFace]:
        """Add the next frame.

        Args:
            prediction: Prediction of the frame.
            time: Time of the frame in seconds, not before that of the last frame.

        Returns:
            Tracked faces, in the order of the prediction.
        """
        boxes = [face.box for face in prediction.faces]
        ids = self._tracker.update([Box(box.x, box.y, box.width, box.height) for box in boxes], time)
        faces = [self._tracked(face, track_id, time) for face, track_id in zip(prediction.faces, ids, strict=True)]
        self._smoother.keep(self._tracker.ids)
        return faces

    def _tracked(self, face: FaceEmotion, track_id: int, time: float) -> TrackedFace:
        smooth = self._smoother.update(track_id, face.probabilities, time)
        emotion = max(smooth, key=smooth.__getitem__)
        uncertain = smooth[emotion] < self._uncertain_below
        return TrackedFace(
            id=track_id,
            box=face.box,
            score=face.score,
            landmarks=face.landmarks,
            roll=face.roll,
            quality=face.quality,
            emotion=emotion,
            confidence=round(smooth[emotion], 6),
            uncertain=uncertain,
            reasons=reasons_for(face.quality, smooth) if uncertain else [],
            probabilities={label: round(value, 6) for label, value in smooth.items()},
            raw_probabilities=face.probabilities,
        )
