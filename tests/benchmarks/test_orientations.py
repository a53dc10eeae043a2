import numpy as np
import pytest
from fer_benchmarks.orientations import Counts, analyzer_for, count_portraits
from fer_service.contract.boxes import Box
from fer_service.contract.schemas import BoundingBox, FaceEmotion
from numpy.typing import NDArray

from tests.fakes import QUALITY


def face(roll: float = 0, emotion: str = "happy", x: int = 0, happy: float = 0.75) -> FaceEmotion:
    return FaceEmotion(
        box=BoundingBox(x=x, y=0, width=10, height=10),
        score=0.9,
        landmarks=None,
        roll=roll,
        quality=QUALITY,
        emotion=emotion,
        confidence=happy,
        uncertain=False,
        reasons=[],
        probabilities={"happy": happy, "sad": 1 - happy},
    )


def test_answers_are_counted_by_what_is_right_about_them() -> None:
    counts = Counts()
    for answer in (None, face(x=50), face(), face(170), face(-170, happy=0.5), face(180, "sad")):
        counts.add(answer, face(), Box(0, 0, 10, 10), 180)
    assert (counts.none, counts.elsewhere, counts.roll, counts.emotion) == (1, 1, 3, 2)
    assert counts.differences == pytest.approx([0, 0, 0.25, 0])


def test_turned_portraits_are_compared_with_the_upright_ones(astronaut: NDArray[np.uint8]) -> None:
    blank = np.full((64, 64, 3), 128, np.uint8)
    counts = count_portraits(analyzer_for("own", orientations=True), [astronaut, blank])
    assert [(each.none, each.elsewhere, each.roll, each.emotion) for each in counts.values()] == [(0, 0, 1, 1)] * 4
    assert all(len(each.seconds) == 1 for each in counts.values())
