import json

import pytest
from fer_service.contract.schemas import (
    BatchError,
    BatchPrediction,
    BatchResult,
    BoundingBox,
    FaceEmotion,
    ImageSize,
    Landmarks,
    ModelName,
    Prediction,
    Problem,
)
from pydantic import ValidationError

from tests.fakes import QUALITY

POINTS = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")


def prediction() -> Prediction:
    face = FaceEmotion(
        box=BoundingBox(x=412, y=120, width=180, height=196),
        score=0.98,
        landmarks=Landmarks(**{name: (number, 10) for number, name in enumerate(POINTS)}),
        roll=-90,
        quality=QUALITY,
        emotion="happy",
        confidence=0.93,
        uncertain=False,
        reasons=[],
        probabilities={"angry": 0.07, "happy": 0.93},
    )
    return Prediction(
        image=ImageSize(width=1280, height=720), faces=[face], model=ModelName(name="fer", version="1.0.0")
    )


def test_a_prediction_is_the_published_json() -> None:
    assert json.loads(prediction().model_dump_json()) == {
        "image": {"width": 1280, "height": 720},
        "faces": [
            {
                "box": {"x": 412, "y": 120, "width": 180, "height": 196},
                "score": 0.98,
                "landmarks": {name: [number, 10] for number, name in enumerate(POINTS)},
                "roll": -90.0,
                "quality": QUALITY.model_dump(),
                "emotion": "happy",
                "confidence": 0.93,
                "uncertain": False,
                "reasons": [],
                "probabilities": {"angry": 0.07, "happy": 0.93},
            }
        ],
        "model": {"name": "fer", "version": "1.0.0"},
        "summary": {"faces": 1, "emotions": {"happy": 1}, "uncertain": 0.0},
    }


def test_a_missing_score_and_landmarks_are_null() -> None:
    face = prediction().faces[0].model_copy(update={"score": None, "landmarks": None})
    assert json.loads(face.model_dump_json())["score"] is None
    assert json.loads(face.model_dump_json())["landmarks"] is None


def test_a_batch_holds_predictions_and_problems_in_order() -> None:
    problem = Problem(title="Title", status=422, detail="detail", code="undecodable_image")
    good = BatchPrediction(name="a.jpg", **dict(prediction()))
    result = BatchResult(results=[good, BatchError(name="b.jpg", error=problem)])
    shown = json.loads(result.model_dump_json())
    first, second = shown["results"]
    alone = json.loads(prediction().model_dump_json())
    assert shown["summary"] == alone.pop("summary")
    assert first == {"name": "a.jpg"} | alone
    assert second["name"] == "b.jpg"
    assert second["error"] == {
        "type": "about:blank",
        "title": "Title",
        "status": 422,
        "detail": "detail",
        "code": "undecodable_image",
    }


def test_answers_are_frozen() -> None:
    answer = prediction()
    with pytest.raises(ValidationError):
        answer.faces = []  # type: ignore[misc]
