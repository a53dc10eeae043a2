from dataclasses import replace

import cv2
import numpy as np
import pytest
from fer_service.contract.boxes import Box
from fer_service.contract.job import Job
from fer_service.detection.choice import choose_detector
from fer_service.detection.close_look import FACE_HEIGHT, SIDE, confirmed_closely, is_upright_at
from fer_service.detection.detector import Detector, Face
from fer_service.detection.scales import Scales
from numpy.typing import NDArray

from tests.scenes import two_faces

SCORE = 0.6
PIXELS = np.zeros((480, 640, 3), np.uint8)
BEST = Face(Box(300, 100, 150, 200), 0.9)
DOUBTFUL = Face(Box(20, 30, 30, 40), 0.8)


class FakeNetwork:
    """Finds the same in every look."""

    name, side, frame_scale = "fake", 640, 1.1

    def __init__(self, *faces: Face) -> None:
        self.faces = faces
        self.looks: list[tuple[int, ...]] = []

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        self.looks.append(pixels.shape)
        return [face for face in self.faces if (face.score or 0) >= min_score]


def middle(width: float, height: float, score: float = 0.9) -> Face:
    return Face(Box((SIDE - width) / 2, (SIDE - height) / 2, width, height), score)


@pytest.mark.parametrize(
    ("shown", "stays"),
    [
        ([middle(60, FACE_HEIGHT)], True),
        ([middle(60, FACE_HEIGHT, SCORE / 3)], True),
        ([middle(60, FACE_HEIGHT, SCORE / 3 - 0.01)], False),
        ([middle(20, 30)], False),
        ([Face(Box(0, 0, 60, FACE_HEIGHT), 0.9)], False),
        ([], False),
    ],
)
def test_a_doubtful_face_must_be_found_in_the_middle_of_its_look(shown: list[Face], stays: bool) -> None:
    network = FakeNetwork(*shown)
    found = confirmed_closely(network, PIXELS, [BEST, DOUBTFUL], SCORE, None)
    assert found == [BEST, DOUBTFUL] if stays else [BEST]
    assert network.looks == [(SIDE, SIDE, 3)]


@pytest.mark.parametrize(
    "faces",
    [
        [],
        [replace(DOUBTFUL, score=0.6)],
        [BEST, replace(DOUBTFUL, score=0.98)],
        [BEST, replace(DOUBTFUL, box=Box(10, 20, 160, 210))],
        [BEST, *[DOUBTFUL] * 3],
    ],
    ids=["none", "alone", "sure", "highest", "crowd"],
)
def test_other_faces_are_not_looked_at_again(faces: list[Face]) -> None:
    network = FakeNetwork()
    assert confirmed_closely(network, PIXELS, faces, SCORE, None) == faces
    assert network.looks == []


@pytest.mark.parametrize(("turns", "rolls"), [(0, {0}), (1, {-90}), (2, {180})])
def test_a_look_in_the_right_orientation_shows_the_face(
    astronaut: NDArray[np.uint8], turns: int, rolls: set[int]
) -> None:
    pixels = np.ascontiguousarray(np.rot90(astronaut, turns))
    detector = choose_detector("own", 640)
    found = choose_detector("own", 640, orientations=True).detect(pixels, SCORE)
    assert {
        roll for roll in (0, 90, 180, -90) if is_upright_at(detector, pixels, found[0], roll, 0.95, None)
    } == rolls


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_a_real_face_is_seen_in_its_look_and_a_shoulder_is_not(scale: float) -> None:
    pixels = cv2.resize(two_faces(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
    found: Detector = choose_detector("own", 640)
    assert isinstance(found, Scales)
    best, other = found.detect(pixels, SCORE)
    other = replace(other, score=0.7)
    shoulder = Face(Box(20 * scale, 180 * scale, 60 * scale, 70 * scale), 0.7)
    assert confirmed_closely(found.network, pixels, [best, other, shoulder], SCORE, None) == [best, other]
