from collections.abc import Sequence

import numpy as np
import pytest
from fer_service import assets
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.loading import load
from fer_service.analysis.options import Options
from fer_service.contract.boxes import Box
from fer_service.contract.settings import load_settings
from fer_service.detection.detector import Face
from fer_service.detection.landmarks import LandmarkFinder
from fer_service.onnx.session import Session

from tests.fakes import FakeClassifier, FakeDetector
from tests.service.conftest import Pixels, encoded, plain


def test_a_roll_of_nearly_nothing_is_zero_without_a_sign() -> None:
    landmarks = ((40, 40.0), (60, 39.99), (50, 50), (40, 60.0), (60, 59.99))
    line = Analyzer(FakeDetector(Face(Box(20, 20, 40, 50), 0.9, landmarks)), FakeClassifier())
    (face,) = line.analyze(plain("red", 100, 100)).faces
    assert str(face.roll) == "0.0"


def test_warming_runs_the_landmark_network() -> None:
    class Noted(LandmarkFinder):
        """Notes how many faces it is given."""

        seen = 0

        def find(self, pixels: Pixels, faces: Sequence[Face], frame_scale: float) -> list[Face]:
            Noted.seen += len(faces)
            return super().find(pixels, faces, frame_scale)

    session = Session.open(assets.LANDMARKS, device="cpu", threads=1)
    Analyzer(FakeDetector(), FakeClassifier(), landmarks=Noted(session, 48, "noted")).warm()
    assert Noted.seen == 1


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_given_box_without_landmarks_in_a_turned_image_is_turned_right(astronaut: Pixels, turns: int) -> None:
    line = load(load_settings(detector="own", device="cpu"))
    box = Box(170, 76, 105, 105)
    for _ in range(turns):  # clockwise, in an image of 512×512
        box = Box(512 - box.y - box.height, box.x, box.height, box.width)
    image = encoded(np.ascontiguousarray(np.rot90(astronaut, -turns)), "PNG")
    (face,) = line.analyze(image, Options(boxes=(Face(box),))).faces
    assert abs((face.roll - 90 * turns + 180) % 360 - 180) < 8
    assert face.emotion == "happy"
