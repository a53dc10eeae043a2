import io
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fer_service import assets
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.drawing import Drawing
from fer_service.analysis.loading import load
from fer_service.analysis.options import Limits, Options
from fer_service.classification.classifier import open_classifier
from fer_service.contract.boxes import Box
from fer_service.contract.errors import InternalError, InvalidParameter, TooManyPixels, UndecodableImage
from fer_service.contract.job import Job
from fer_service.contract.schemas import BoundingBox, ImageSize, ModelName
from fer_service.contract.settings import load_settings
from fer_service.detection import close_look
from fer_service.detection.detector import Face
from fer_service.detection.haar import Haar
from numpy.typing import NDArray
from PIL import Image

from tests.fakes import FakeClassifier, FakeDetector, metadata
from tests.service.conftest import Pixels, encoded, plain


def analyzer(*faces: Face, side: int = 640, limits: Limits | None = None) -> Analyzer:
    return Analyzer(FakeDetector(*faces, side=side), FakeClassifier(), limits)


def three_stripes(width: int, height: int) -> Pixels:
    """Red, green and blue, side by side."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for channel in range(3):
        pixels[:, channel * width // 3 : (channel + 1) * width // 3, channel] = 250
    return pixels


def test_each_face_gets_the_answer_of_its_own_crop() -> None:
    faces = [Face(Box(210, 10, 80, 80)), Face(Box(110, 10, 78, 78)), Face(Box(10, 10, 76, 76))]
    prediction = analyzer(*faces).analyze(encoded(three_stripes(300, 100), "PNG"))
    assert [(face.box.x, face.emotion) for face in prediction.faces] == [
        (210, "neutral"),
        (110, "happy"),
        (10, "angry"),
    ]
    assert prediction.image == ImageSize(width=300, height=100)
    assert prediction.model == ModelName(name="tiny", version="1.2.3")


def test_an_image_is_bytes_or_a_path_and_nothing_else(tmp_path: Path) -> None:
    line, path = analyzer(Face(Box(0, 0, 64, 64))), tmp_path / "red.jpg"
    path.write_bytes(plain("red"))
    assert line.analyze(path) == line.analyze(str(path)) == line.analyze(plain("red"))
    with pytest.raises(FileNotFoundError):
        line.analyze("no.jpg")
    with pytest.raises(TypeError, match="bytes or the path of a file, not ndarray; process_pixels takes"):
        line.analyze(three_stripes(9, 9))  # type: ignore[arg-type]


def test_all_faces_of_an_image_share_one_run_of_the_network() -> None:
    line = analyzer(*(Face(Box(n, n, 10, 10)) for n in range(5)))
    line.analyze(plain("red"))
    assert isinstance(line.classifier, FakeClassifier)
    assert line.classifier.batches == [5]


def test_every_label_has_its_probability_and_the_best_one_is_the_emotion() -> None:
    (face,) = (
        analyzer(Face(Box(0, 0, 64, 64))).analyze(encoded(Image.new("RGB", (64, 64), (50, 200, 0)), "PNG")).faces
    )
    assert list(face.probabilities) == ["angry", "happy", "neutral"]
    assert sum(face.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert (face.emotion, face.confidence) == ("happy", face.probabilities["happy"])
    assert face.confidence == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize(("best", "uncertain"), [(0.49, True), (0.5, False), (0.9, False)])
def test_below_the_bundles_threshold_an_answer_is_uncertain(best: float, uncertain: bool) -> None:
    rest = (1 - best) / 2
    line = Analyzer(FakeDetector(Face(Box(0, 0, 9, 9))), FakeClassifier(lambda crop: (rest, best, rest)))
    assert line.analyze(plain("red")).faces[0].uncertain is uncertain


def test_an_image_without_faces_has_an_empty_list() -> None:
    line = analyzer()
    assert line.analyze(plain("red")).faces == []
    assert isinstance(line.classifier, FakeClassifier)
    assert line.classifier.batches == []


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
    ("face", "box"),
    [
        (Face(Box(10.4, 20.6, 30, 40)), (10, 21, 30, 40)),
        (Face(Box(-10, -20, 30, 40)), (0, 0, 20, 20)),
        (Face(Box(80, 70, 30, 40)), (80, 70, 20, 30)),
        (Face(Box(-10, -10, 500, 500)), (0, 0, 100, 100)),
        (Face(Box(200, 200, 10, 10)), (99, 99, 1, 1)),
        (Face(Box(-50, -50, 10, 10)), (0, 0, 1, 1)),
        (Face(Box(10, 10, 0.1, 0.1)), (10, 10, 1, 1)),
    ],
)
def test_boxes_are_whole_pixels_of_the_image(face: Face, box: tuple[int, ...]) -> None:
    answer = analyzer(face).analyze(plain("red", 100, 100)).faces[0].box
    assert answer == BoundingBox(x=box[0], y=box[1], width=box[2], height=box[3])


def test_landmarks_have_names_and_are_clipped_too() -> None:
    points = ((50.4, 40.0), (-3.0, 40.0), (40.0, 500.0), (48.0, 60.6), (32.0, 60.0))
    (face,) = analyzer(Face(Box(20, 20, 40, 50), 0.9, points)).analyze(plain("red", 100, 80)).faces
    assert face.landmarks is not None
    assert face.landmarks.model_dump() == {
        "right_eye": (50, 40),
        "left_eye": (0, 40),
        "nose": (40, 79),
        "mouth_right": (48, 61),
        "mouth_left": (32, 60),
    }


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


def test_a_detector_without_scores_and_landmarks_gives_null() -> None:
    (face,) = analyzer(Face(Box(1, 2, 3, 4))).analyze(plain("red")).faces
    assert face.score is None
    assert face.landmarks is None


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


def test_every_stage_is_timed_in_the_order_in_which_it_ran() -> None:
    job, options, line = Job(), Options(draw="png"), analyzer(Face(Box(0, 0, 9, 9)))
    line.process(line.open(plain("red"), options, job), options, job)
    assert list(job.seconds) == ["decode", "detect", "crop", "infer", "draw"]
    assert min(job.seconds.values()) >= 0


def test_images_beyond_the_limit_and_garbage_are_refused() -> None:
    line = analyzer(limits=Limits(max_pixels=4095))
    with pytest.raises(TooManyPixels):
        line.analyze(plain("red"))
    with pytest.raises(UndecodableImage):
        line.analyze(b"no image")


def test_warming_runs_the_line_once() -> None:
    line = analyzer(Face(Box(0, 0, 9, 9)))
    line.warm()
    assert isinstance(line.classifier, FakeClassifier)
    assert isinstance(line.detector, FakeDetector)
    assert line.classifier.batches == [1, 1]  # a found and a given face
    assert len(line.detector.seen) == 1


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


def test_the_astronaut_is_happy(astronaut_jpeg: bytes) -> None:
    line = Analyzer(Haar(320), open_classifier(assets.MODELS["bundled"], "cpu", 1))
    prediction = line.analyze(astronaut_jpeg)
    largest = prediction.faces[0]
    assert 150 < largest.box.x < 230
    assert 40 < largest.box.y < 120
    assert largest.emotion == "happy"
    assert largest.confidence > 0.5
    assert sum(largest.probabilities.values()) == pytest.approx(1, abs=1e-4)


def test_a_drawn_answer_is_the_upright_image_at_full_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.ascontiguousarray(np.rot90(three_stripes(1500, 500)))
    data = encoded(stored, "JPEG", exif=exif, quality=95)
    line, options = analyzer(), Options(draw="png")
    drawn = line.process(line.open(data, options), options, Job()).drawn
    assert drawn is not None
    with Image.open(io.BytesIO(drawn)) as image:
        assert image.size == (1500, 500)


@pytest.mark.parametrize("drawing", ["box", "blur"])
def test_a_drawn_answer_has_the_faces_of_the_json(drawing: Drawing) -> None:
    reduced: list[tuple[int, ...]] = []

    class Detector(FakeDetector):
        def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
            reduced.append(pixels.shape)
            return super().detect(pixels, min_score, job)

    data = encoded(three_stripes(1600, 1200), "JPEG")
    line = Analyzer(Detector(Face(Box(100, 100, 300, 300))), FakeClassifier())
    options = Options(draw="png", drawing=drawing)
    prediction = line.analyze(data)
    drawn = line.process(line.open(data, options), options, Job())
    assert reduced[0] == reduced[1] != (1200, 1600, 3)
    assert drawn.prediction == prediction


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_what_is_no_probability_is_not_answered(wrong: float, caplog: pytest.LogCaptureFixture) -> None:
    line = Analyzer(FakeDetector(Face(Box(0, 0, 9, 9))), FakeClassifier(lambda crop: (0.5, wrong, 0.5)))
    with pytest.raises(InternalError, match="no probabilities"):
        line.analyze(plain("red"))
    assert str(wrong) in caplog.text


@pytest.mark.parametrize("shape", [(48, 48), (48, 48, 4), (0, 48, 3)])
def test_pixels_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match=r"pixels must be uint8 \[H, W, 3\], RGB, not uint8"):
        analyzer().process_pixels(np.zeros(shape, np.uint8))
    with pytest.raises(TypeError, match="not float32"):
        analyzer().process_pixels(np.zeros((48, 48, 3), np.float32))  # type: ignore[arg-type]
