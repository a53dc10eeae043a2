import tracemalloc

import pytest
from fer_service.contract.schemas import BoundingBox, FaceEmotion, ImageSize, ModelName, Prediction
from fer_service.tracking.tracked_stream import TrackedStream

from tests.fakes import QUALITY


def prediction(*faces: tuple[int, float]) -> Prediction:
    """Faces at a place with a probability of happy."""
    return Prediction(
        image=ImageSize(width=640, height=480),
        faces=[
            FaceEmotion(
                box=BoundingBox(x=x, y=10, width=50, height=50),
                score=0.9,
                landmarks=None,
                roll=0,
                quality=QUALITY,
                emotion="happy" if happy > 0.5 else "sad",
                confidence=max(happy, 1 - happy),
                uncertain=False,
                reasons=[],
                probabilities={"happy": happy, "sad": 1 - happy},
            )
            for x, happy in faces
        ],
        model=ModelName(name="tiny", version="1"),
    )


def test_a_face_has_raw_and_smoothed_probabilities() -> None:
    stream = TrackedStream(0.7, half_life=1.0)
    (first,) = stream.update(prediction((10, 1.0)), 0)
    assert first.probabilities == first.raw_probabilities == {"happy": 1.0, "sad": 0.0}
    (second,) = stream.update(prediction((12, 0.0)), 1.0)
    assert second.id == first.id
    assert second.raw_probabilities == {"happy": 0.0, "sad": 1.0}
    assert second.probabilities == pytest.approx({"happy": 0.5, "sad": 0.5})


def test_the_emotion_is_the_most_likely_smoothed_one() -> None:
    stream = TrackedStream(0.7, half_life=1.0)
    stream.update(prediction((10, 1.0)), 0)
    (face,) = stream.update(prediction((10, 0.0)), 0.1)
    assert (face.emotion, face.uncertain) == ("happy", False)
    (face,) = stream.update(prediction((10, 0.0)), 0.7)
    assert (face.emotion, face.uncertain) == ("happy", True)
    assert face.confidence == face.probabilities["happy"]


def test_without_smoothing_ids_are_kept_and_probabilities_are_raw() -> None:
    stream = TrackedStream(0.7, half_life=0)
    stream.update(prediction((10, 1.0)), 0)
    (face,) = stream.update(prediction((10, 0.2)), 0.05)
    assert (face.id, face.emotion) == (1, "sad")
    assert face.probabilities == face.raw_probabilities


def test_each_face_has_its_own_average_in_every_order() -> None:
    stream = TrackedStream(0.7, half_life=10.0)
    stream.update(prediction((10, 1.0), (300, 0.0)), 0)
    right, left = stream.update(prediction((301, 0.0), (11, 1.0)), 0.1)
    assert (right.id, right.emotion, left.id, left.emotion) == (2, "sad", 1, "happy")


def test_a_dropped_face_starts_without_history() -> None:
    stream = TrackedStream(0.7, half_life=10.0)
    stream.update(prediction((10, 1.0)), 0)
    stream.update(prediction(), 2.0)
    (face,) = stream.update(prediction((10, 0.0)), 2.1)
    assert (face.id, face.probabilities["sad"]) == (2, 1.0)


def test_dropped_faces_use_no_memory() -> None:
    stream = TrackedStream(0.7, half_life=10.0)

    def pass_by(count: int, begin: int) -> None:
        for number in range(begin, begin + count):
            stream.update(prediction((10, 1.0)), number * 2.0)

    pass_by(100, 0)
    tracemalloc.start()
    pass_by(1000, 100)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 50_000
