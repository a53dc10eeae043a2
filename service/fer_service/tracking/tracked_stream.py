"""Track ids and smoothed probabilities for the predictions of one stream."""

from collections.abc import Mapping
from typing import Final

from fer_service.contract.boxes import Box
from fer_service.contract.reasons import reasons_for
from fer_service.contract.schemas import FaceEmotion, Prediction, TrackedFace
from fer_service.tracking.smoothing import Average, Smoother
from fer_service.tracking.tracker import Tracker

HALF_LIFE: Final = 0.5  # seconds


class TrackedStream:
    """Tracks the faces of one stream; frames must come in order.

    Attributes:
        tracker: Has the tracks.
    """

    def __init__(
        self,
        uncertain_below: float,
        half_life: float = HALF_LIFE,
        tracker: Tracker | None = None,
        averages: Mapping[int, Average] | None = None,
    ) -> None:
        """Start without faces, or go on with those of another stream.

        Args:
            uncertain_below: Threshold of the model, applied to the smoothed confidence.
            half_life: Half-life of the smoothing in seconds; 0 turns smoothing off.
            tracker: Has the tracks to go on with. By default there are none, and those of the last frame are kept.
            averages: Smoothed probabilities by track id.
        """
        self._uncertain_below = uncertain_below
        self.tracker = tracker or Tracker(keeps_last=True)
        self._smoother = Smoother(half_life, averages)

    @property
    def averages(self) -> Mapping[int, Average]:
        """Smoothed probabilities by track id; empty without smoothing."""
        return self._smoother.averages

    def update(self, prediction: Prediction, time: float) -> list[TrackedFace]:
        """Add the next frame.

        Args:
            prediction: Prediction of the frame.
            time: Time of the frame in seconds, not before that of the last frame.

        Returns:
            Tracked faces, in the order of the prediction.
        """
        boxes = [face.box for face in prediction.faces]
        ids = self.tracker.update([Box(box.x, box.y, box.width, box.height) for box in boxes], time)
        faces = [self._tracked(face, track_id, time) for face, track_id in zip(prediction.faces, ids, strict=True)]
        self._smoother.keep({track.id for track in self.tracker.tracks})
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
