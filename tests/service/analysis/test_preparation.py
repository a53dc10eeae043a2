"""What happens before the classifier: which faces are found, and how they are cropped."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fer_service import assets
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.loading import load
from fer_service.analysis.options import Limits, Options
from fer_service.contract.boxes import Box
from fer_service.contract.errors import InvalidParameter
from fer_service.contract.job import Job
from fer_service.contract.schemas import BoundingBox, ImageSize
from fer_service.contract.settings import load_settings
from fer_service.detection import close_look
from fer_service.detection.detector import Face
from numpy.typing import NDArray
from PIL import Image

from tests.fakes import FakeClassifier, FakeDetector, metadata
from tests.service.analysis.fake_line import analyzer, three_stripes
from tests.service.conftest import Pixels, encoded, plain


@pytest.mark.parametrize(
    ("options", "limits", "areas"),
    [
        (Options(), Limits(), [400, 200, 100]),
        (Options(max_faces=2), Limits(), [400, 200]),
        (Options(), Limits(max_faces=1), [400]),
        (Options(max_faces=1), Limits(max_faces=3), [400]),
    ],
)
def test_faces_are_sorted_by_area_and_the_largest_are_kept(
    options: Options, limits: Limits, areas: list[int]
) -> None:
    line = analyzer(Face(Box(0, 0, 10, 10)), Face(Box(0, 0, 20, 20)), Face(Box(0, 0, 20, 10)), limits=limits)
    boxes = [face.box for face in line.analyze(plain("red"), options).faces]
    assert [box.width * box.height for box in boxes] == areas


@pytest.mark.parametrize(
    ("options", "limits", "scores"),
    [
        (Options(), Limits(), [0.9, 0.7]),
        (Options(min_score=0.0), Limits(), [0.9, 0.7, 0.3]),
        (Options(min_score=0.8), Limits(), [0.9]),
        (Options(), Limits(min_score=0.2), [0.9, 0.7, 0.3]),
    ],
)
def test_faces_below_the_least_score_are_left_out(options: Options, limits: Limits, scores: list[float]) -> None:
    line = analyzer(*(Face(Box(0, 0, 10, 10), score) for score in (0.9, 0.7, 0.3)), limits=limits)
    assert [face.score for face in line.analyze(plain("red"), options).faces] == scores


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (Options(max_faces=0), "max_faces must be 1 to 100, not 0"),
        (Options(max_faces=-1), "max_faces must be 1 to 100, not -1"),
        (Options(max_faces=101), "max_faces must be 1 to 100, not 101"),
        (Options(min_score=-0.1), "min_score must be 0 to 1, not -0.1"),
        (Options(min_score=1.1), "min_score must be 0 to 1, not 1.1"),
        (Options(min_score=math.nan), "min_score must be 0 to 1, not nan"),
    ],
)
def test_options_out_of_range_are_invalid(options: Options, text: str) -> None:
    with pytest.raises(InvalidParameter, match=text):
        analyzer().analyze(plain("red"), options)


@pytest.mark.parametrize(
    ("roll", "eyes", "shown"),
    [
        (0, None, 0),
        (-90, None, -90),
        (180, None, 180),
        (0, ((40, 40), (60, 40), (40, 60), (60, 60)), 0),
        (0, ((40, 40), (60, 50), (30, 60), (50, 70)), 26.6),
        (90, ((60, 40), (60, 60), (40, 40), (40, 60)), 90),
        (0, ((60, 60), (40, 60), (60, 40), (40, 40)), 180),  # found in the wrong orientation
        (180, ((60, 60), (40, 60.1), (60, 40), (40, 40.1)), 179.9),
        (-90, ((40, 60), (40, 40), (60, 60), (60, 40)), -90),
        (0, ((50, 40), (50, 42), (49, 60), (51, 60)), 6.0),  # in profile
        (180, ((50, 40),) * 4, 180),
    ],
)
def test_the_roll_is_that_of_the_eyes_and_the_mouth(
    roll: int, eyes: tuple[tuple[float, float], ...] | None, shown: float
) -> None:
    landmarks = eyes and (*eyes[:2], (50, 50), *eyes[2:])
    (face,) = analyzer(Face(Box(20, 20, 40, 50), 0.9, landmarks, roll)).analyze(plain("red", 100, 100)).faces
    assert face.roll == pytest.approx(shown)


@pytest.mark.parametrize(("roll", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_the_crop_of_a_turned_face_is_upright(roll: int, turns: int) -> None:
    upright = three_stripes(120, 120)
    upright[60:] //= 2
    turned = np.ascontiguousarray(np.rot90(upright, -turns))
    face = Face(Box(10, 10, 100, 100), 0.9, roll=roll)
    line = analyzer(face)
    image = line.open(encoded(turned, "PNG"), Options())
    (crop,) = line.preparer.prepare(image, Options()).crops
    expected_line = analyzer(Face(face.box, 0.9))
    (expected,) = expected_line.preparer.prepare(
        expected_line.open(encoded(upright, "PNG"), Options()), Options()
    ).crops
    assert np.abs(crop.astype(int) - expected).max() <= 1


class FakeLandmarks:
    """Finds the landmarks of a face that is turned by an angle in degrees."""

    name = "fake"

    def __init__(self, roll: float) -> None:
        self.roll = math.radians(roll)

    def find(self, pixels: NDArray[np.uint8], faces: Sequence[Face], frame_scale: float) -> list[Face]:
        cos, sin = math.cos(self.roll), math.sin(self.roll)
        points = ((-8, -8), (8, -8), (0, 0), (-6, 8), (6, 8))
        turned = tuple((40 + cos * x - sin * y, 40 + sin * x + cos * y) for x, y in points)
        return [replace(face, landmarks=turned) for face in faces]


@pytest.mark.parametrize(
    ("roll", "seen", "expected"),
    [(20, False, 20), (120, False, 0), (120, True, 120), (180, True, 180), (180, False, 0)],
)
def test_landmarks_that_turn_a_face_far_need_the_detectors_consent(roll: int, seen: bool, expected: int) -> None:
    class Looking(FakeDetector):
        def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
            is_look = pixels.shape == (close_look.SIDE, close_look.SIDE, 3)
            return [Face(Box(60, 60, 70, 70), 0.9)] * seen if is_look else super().detect(pixels, min_score, job)

    landmarks: Any = FakeLandmarks(roll)
    line = Analyzer(Looking(Face(Box(20, 20, 40, 40), 0.9)), FakeClassifier(), None, landmarks)
    (face,) = line.analyze(plain("red", 100, 100)).faces
    assert face.roll == pytest.approx(expected, abs=0.1)
    assert (face.landmarks is None) == (expected == 0)


def test_without_detection_the_whole_image_is_one_face() -> None:
    line = analyzer(Face(Box(1, 1, 5, 5)))
    (face,) = line.analyze(plain("blue", 90, 60), Options(detect=False)).faces
    assert face.box == BoundingBox(x=0, y=0, width=90, height=60)
    assert (face.score, face.landmarks, face.emotion) == (None, None, "neutral")
    assert isinstance(line.detector, FakeDetector)
    assert line.detector.seen == []


def test_without_detection_an_image_is_padded_by_its_border() -> None:
    pixels = np.zeros((16, 48, 3), np.uint8)
    pixels[0], pixels[-1] = (255, 0, 0), (0, 255, 0)
    line, options = analyzer(), Options(detect=False)
    (crop,) = line.preparer.prepare(line.open(encoded(pixels, "PNG"), options), options).crops
    assert (crop[:16] == (255, 0, 0)).all()
    assert (crop[32:] == (0, 255, 0)).all()


def test_boxes_of_a_turned_image_are_those_of_the_upright_one() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.ascontiguousarray(np.rot90(three_stripes(300, 100)))
    line = analyzer(Face(Box(110, 10, 80, 80)))
    prediction = line.analyze(encoded(stored, "JPEG", exif=exif, quality=95))
    assert prediction.image == ImageSize(width=300, height=100)
    assert prediction.faces[0].box == BoundingBox(x=110, y=10, width=80, height=80)
    assert prediction.faces[0].emotion == "happy"


def test_the_crop_goes_by_the_bundles_frame_and_the_detectors_scale() -> None:
    geometry = {"frame": 2.0, "align": False, "interpolation": "linear", "border": "replicate"}
    line = Analyzer(
        FakeDetector(Face(Box(40, 40, 24, 24))), FakeClassifier(bundle_metadata=metadata(crop=geometry))
    )
    pixels = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    (crop,) = line.preparer.prepare(line.open(encoded(pixels, "PNG"), Options()), Options()).crops
    np.testing.assert_array_equal(crop, pixels[28:76, 28:76])


@pytest.mark.skipif(not assets.MODELS["bundled"].is_file(), reason="no model is bundled")
def test_images_may_be_turned_and_frames_are_upright(astronaut: Pixels) -> None:
    line = load(load_settings(detector="own", device="cpu"))
    turned = np.ascontiguousarray(np.rot90(astronaut, -1))
    image = encoded(turned, "PNG")
    (face,) = line.analyze(image).faces
    assert face.roll == pytest.approx(90, abs=6)
    assert face.emotion == "happy"
    assert all(abs(face.roll) <= 65 for face in line.analyze(image, Options(turned=False)).faces)
    assert line.process_pixels(turned) == line.analyze(image, Options(turned=False))
    assert line.process_pixels(turned, Options(max_faces=5)) == line.process_pixels(turned)
    assert line.process_pixels(turned, Options(turned=True)) == line.analyze(image)


@pytest.mark.parametrize(("wanted", "searched"), [(None, 0.5), (0.8, 0.5), (0.3, 0.3)])
def test_a_higher_score_leaves_faces_out_and_changes_no_other(wanted: float | None, searched: float) -> None:
    asked: list[float] = []

    class Asked(FakeDetector):
        def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
            asked.append(min_score)
            return super().detect(pixels, min_score, job)

    line = Analyzer(Asked(Face(Box(0, 0, 20, 20), 0.7)), FakeClassifier(), Limits(min_score=0.5))
    faces = line.analyze(plain("red"), Options(min_score=wanted)).faces
    assert (asked, len(faces)) == ([searched], int(wanted != 0.8))


@pytest.mark.parametrize("shape", [(48, 48), (48, 48, 4), (0, 48, 3)])
def test_pixels_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match=r"pixels must be uint8 \[H, W, 3\], RGB, not uint8"):
        analyzer().process_pixels(np.zeros(shape, np.uint8))
    with pytest.raises(TypeError, match="not float32"):
        analyzer().process_pixels(np.zeros((48, 48, 3), np.float32))  # type: ignore[arg-type]
