import io
import math
from typing import Any

import numpy as np
import pytest
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.covering import COVER_SCORE, cover_faces, possible_faces
from fer_service.analysis.options import Options
from fer_service.contract.boxes import Box
from fer_service.contract.errors import DeadlineExceeded
from fer_service.contract.job import Job
from fer_service.detection.choice import choose_detector
from fer_service.detection.detector import Detector, Face
from fer_service.imaging.cover import Cover
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.fakes import FakeClassifier, FakeDetector
from tests.service.conftest import Pixels, encoded

KINDS: tuple[Cover, Cover] = ("blur", "pixelate")
FACE = (slice(66, 176), slice(178, 269))  # of the astronaut


@pytest.fixture(scope="module")
def own() -> Detector:
    return choose_detector("own", 640)


def drawn(line: Analyzer, data: bytes, **options: Any) -> bytes:
    chosen = Options(**{"draw": "png"} | options)
    result = line.process(line.open(data, chosen), chosen, Job()).drawn
    assert result is not None
    return result


def pixels_of(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image.convert("RGB"))


def photo(astronaut: Pixels) -> Pixels:
    """The astronaut upright, smaller, and lying on her side, in one image."""
    canvas = np.full((640, 900, 3), 120, np.uint8)
    canvas[:512, :512] = astronaut
    canvas[:256, 560:816] = astronaut[::2, ::2]
    canvas[300:556, 560:816] = np.rot90(astronaut[::2, ::2])
    return canvas


@pytest.mark.parametrize("draw", ["png", "jpeg"])
@pytest.mark.parametrize("kind", KINDS)
def test_covered_faces_are_not_found_again_in_any_orientation(
    astronaut: Pixels, own: Detector, kind: Cover, draw: str
) -> None:
    image = photo(astronaut)
    assert len(possible_faces(own, image)) >= 3
    line = Analyzer(own, FakeClassifier())
    covered = pixels_of(drawn(line, encoded(image, "PNG"), drawing=kind, draw=draw))
    # JPEG moves the scores a little.
    assert [box for box in possible_faces(own, covered) if draw == "png"] == []
    assert all((face.score or 0) < 0.45 for face in own.detect(covered, COVER_SCORE))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_face_is_left_but_its_mean_colours(astronaut: Pixels, kind: Cover) -> None:
    line = Analyzer(FakeDetector(Face(Box(178, 66, 91, 110), 0.9)), FakeClassifier())
    other = astronaut.copy()
    rows, columns = FACE
    other[rows, columns] = other[rows, columns][::-1, ::-1]  # another face with the same mean colour
    boxes = (Face(Box(178, 66, 91, 110)),)
    covered = [
        pixels_of(drawn(line, encoded(image, "PNG"), drawing=kind, boxes=boxes)) for image in (astronaut, other)
    ]
    difference = np.abs(covered[0].astype(int) - covered[1])[FACE]
    before = np.abs(astronaut.astype(int) - other)[FACE]
    assert difference.mean() < 0.35 * before.mean()
    np.testing.assert_array_equal(covered[0][300:], astronaut[300:])


@pytest.mark.parametrize("kind", KINDS)
def test_what_may_be_a_face_is_covered_also_beyond_the_most_faces(kind: Cover) -> None:
    gradient = np.arange(200 * 300 * 3, dtype=np.uint32).reshape(200, 300, 3).astype(np.uint8)
    faces = [Face(Box(20, 20, 40, 40), 0.9), Face(Box(120, 20, 40, 40), 0.35), Face(Box(220, 20, 40, 40), 0.9)]
    line = Analyzer(FakeDetector(*faces), FakeClassifier())
    covered = pixels_of(drawn(line, encoded(gradient, "PNG"), drawing=kind, max_faces=1))
    for face in faces:
        x, y = int(face.box.x), int(face.box.y)
        assert (covered[y : y + 40, x : x + 40] != gradient[y : y + 40, x : x + 40]).mean() > 0.9


def test_given_boxes_and_whole_images_are_covered_as_they_are(astronaut: Pixels, own: Detector) -> None:
    line = Analyzer(own, FakeClassifier())
    boxes = (Face(Box(300, 300, 50, 50)),)
    covered = pixels_of(drawn(line, encoded(astronaut, "PNG"), drawing="pixelate", boxes=boxes))
    np.testing.assert_array_equal(covered[FACE], astronaut[FACE])
    assert (covered[300:350, 300:350] != astronaut[300:350, 300:350]).any()
    whole = pixels_of(drawn(line, encoded(astronaut, "PNG"), drawing="pixelate", detect=False))
    assert (whole != astronaut).any(axis=2).mean() > 0.9


def test_without_drawing_the_image_stays_as_it_is(astronaut: Pixels, own: Detector) -> None:
    line = Analyzer(own, FakeClassifier())
    np.testing.assert_array_equal(pixels_of(drawn(line, encoded(astronaut, "PNG"), drawing="none")), astronaut)


@pytest.mark.parametrize("drawing", ["box", "blur", "pixelate", "none"])
@pytest.mark.parametrize("draw", ["png", "jpeg"])
def test_no_metadata_survive(astronaut: Pixels, drawing: str, draw: str) -> None:
    thumbnail = encoded(astronaut[:64, :64], "JPEG")
    exif = Image.Exif()
    exif[0x010E] = "SECRET description"
    exif.get_ifd(0x8825)[1] = "SECRET north"
    text = PngInfo()
    text.add_text("Comment", "SECRET text")
    line = Analyzer(FakeDetector(Face(Box(10, 10, 40, 40), 0.9)), FakeClassifier())
    image = Image.fromarray(astronaut)
    for data in (
        encoded(image, "JPEG", exif=exif.tobytes() + thumbnail, comment=b"SECRET", xmp=b"<x>SECRET</x>"),
        encoded(image, "PNG", pnginfo=text, exif=exif),
    ):
        assert b"SECRET" in data
        answer = drawn(line, data, drawing=drawing, draw=draw)
        with Image.open(io.BytesIO(answer)) as shown:
            assert not shown.getexif()
            assert set(shown.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert b"SECRET" not in answer
        assert thumbnail[100:200] not in answer


def test_looking_again_ends_at_the_deadline() -> None:
    job = Job(-math.inf)
    with pytest.raises(DeadlineExceeded, match="faces to be covered"):
        cover_faces(FakeDetector(), np.zeros((9, 9, 3), np.uint8), [Box(0, 0, 5, 5)], "blur", job)


def test_a_detector_that_always_finds_something_ends_too() -> None:
    detector = FakeDetector(Face(Box(10, 10, 20, 20), 0.9))
    cover_faces(detector, np.zeros((60, 60, 3), np.uint8), [Box(10, 10, 20, 20)], "pixelate")


def test_what_the_last_search_finds_is_covered_too() -> None:
    class EverFurther(FakeDetector):
        """Finds a face right of the last one in every search of the upright image."""

        found = 0

        def detect(self, pixels: Pixels, min_score: float, job: Job | None = None) -> list[Face]:
            if pixels.shape[:2] != (60, 2000):
                return []
            self.found += 1
            return [Face(Box(100 * self.found, 20, 20, 20), 0.9)]

    detector = EverFurther()
    gradient = np.arange(60 * 2000 * 3, dtype=np.uint32).reshape(60, 2000, 3).astype(np.uint8)
    pixels = gradient.copy()
    cover_faces(detector, pixels, [Box(0, 20, 20, 20)], "pixelate")
    last = slice(100 * detector.found, 100 * detector.found + 20)
    assert (pixels[20:40, last] != gradient[20:40, last]).mean() > 0.9
    assert len(detector.seen) < 40
