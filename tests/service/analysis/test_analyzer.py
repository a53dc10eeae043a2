import io
import math
from pathlib import Path

import numpy as np
import pytest
from fer_service import assets
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.drawing import Drawing
from fer_service.analysis.options import Limits, Options
from fer_service.classification.classifier import open_classifier
from fer_service.contract.boxes import Box
from fer_service.contract.errors import InternalError, TooManyPixels, UndecodableImage
from fer_service.contract.job import Job
from fer_service.contract.schemas import BoundingBox, ImageSize, ModelName
from fer_service.detection.detector import Face
from fer_service.detection.haar import Haar
from numpy.typing import NDArray
from PIL import Image

from tests.fakes import FakeClassifier, FakeDetector
from tests.service.analysis.fake_line import analyzer, three_stripes
from tests.service.conftest import encoded, plain


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


def test_a_detector_without_scores_and_landmarks_gives_null() -> None:
    (face,) = analyzer(Face(Box(1, 2, 3, 4))).analyze(plain("red")).faces
    assert face.score is None
    assert face.landmarks is None


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
