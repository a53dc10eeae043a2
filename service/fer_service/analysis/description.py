"""The public description of a face."""

import logging
import math

from fer_service.contract.boxes import roll_of
from fer_service.contract.bundle import Metadata
from fer_service.contract.errors import InternalError
from fer_service.contract.reasons import reasons_for
from fer_service.contract.schemas import BoundingBox, FaceEmotion, ImageSize, Landmarks, Quality
from fer_service.detection.detector import Face

logger = logging.getLogger(__name__)


def describe(
    face: Face, quality: Quality, values: list[float], metadata: Metadata, size: ImageSize
) -> FaceEmotion:
    """Describe a face and its emotion.

    Args:
        face: Face in pixels of the upright image.
        quality: Its quality.
        values: Probability of each label.
        metadata: Metadata of the model.
        size: Size of the upright image.

    Raises:
        InternalError: the model answered no probabilities.
    """
    if not all(map(math.isfinite, values)):
        # No label is the most likely one of these, and JSON has no such numbers.
        logger.error("the model %s answered %s", metadata.name, values)
        raise InternalError("the model answered no probabilities for a face")
    probabilities = dict(zip(metadata.labels, values, strict=True))
    emotion = max(metadata.labels, key=probabilities.__getitem__)
    uncertain = probabilities[emotion] < metadata.uncertain_below
    left, top, width, height = face.box.clipped(size.width, size.height)
    return FaceEmotion(
        box=BoundingBox(x=left, y=top, width=width, height=height),
        score=None if face.score is None else round(face.score, 4),
        landmarks=_landmarks(face, size),
        roll=_roll(face),
        quality=quality,
        emotion=emotion,
        confidence=probabilities[emotion],
        uncertain=uncertain,
        reasons=reasons_for(quality, probabilities) if uncertain else [],
        probabilities=probabilities,
    )


def _roll(face: Face) -> float:
    """Return the roll in degrees clockwise, above -180 and up to 180, with one decimal."""
    found = roll_of(face.landmarks) if face.landmarks else None
    roll = round(face.roll if found is None else found, 1) + 0.0  # no -0.0
    return 180.0 if roll == -180 else roll


def _landmarks(face: Face, size: ImageSize) -> Landmarks | None:
    if face.landmarks is None:
        return None
    right, bottom = size.width - 1, size.height - 1
    points = [(min(max(round(x), 0), right), min(max(round(y), 0), bottom)) for x, y in face.landmarks]
    return Landmarks(**dict(zip(Landmarks.model_fields, points, strict=True)))
