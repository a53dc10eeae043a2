import cv2
import numpy as np
import pytest
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.options import Options
from fer_service.contract.boxes import Box
from fer_service.detection.detector import Face

from tests.fakes import FakeClassifier, FakeDetector
from tests.service.conftest import Pixels, encoded

WIDTH, HEIGHT = 1600, 1200


@pytest.fixture(scope="module")
def large() -> Pixels:
    """Smooth noise, so that every place looks different and none aliases."""
    coarse = np.random.default_rng(0).integers(0, 256, (HEIGHT // 80, WIDTH // 80, 3), np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


@pytest.fixture(scope="module")
def jpeg(large: Pixels) -> bytes:
    return encoded(large, "JPEG", quality=95, subsampling=0)


def line(*faces: Face, side: int) -> tuple[Analyzer, FakeDetector]:
    detector = FakeDetector(*faces, side=side)
    return Analyzer(detector, FakeClassifier()), detector


def area(pixels: Pixels, size: int) -> Pixels:
    return cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8)


@pytest.mark.parametrize(
    ("side", "shape"),
    [(200, (150, 200, 3)), (201, (300, 400, 3)), (640, (600, 800, 3)), (1000, (1200, 1600, 3))],
)
def test_the_detector_sees_a_large_jpeg_as_small_as_its_side_allows(
    jpeg: bytes, side: int, shape: tuple[int, ...]
) -> None:
    analyzer, detector = line(side=side)
    analyzer.analyze(jpeg)
    assert detector.seen == [shape]


def test_a_png_is_not_reduced(large: Pixels) -> None:
    analyzer, detector = line(side=200)
    analyzer.analyze(encoded(large, "PNG", compress_level=0))
    assert detector.seen == [(HEIGHT, WIDTH, 3)]


def test_boxes_are_told_in_pixels_of_the_whole_image(jpeg: bytes) -> None:
    analyzer, _ = line(Face(Box(25, 50, 60, 70), 0.9, ((30, 60),) * 5), side=200)
    (face,) = analyzer.analyze(jpeg).faces
    assert (face.box.x, face.box.y, face.box.width, face.box.height) == (200, 400, 480, 560)
    assert face.landmarks is not None
    assert face.landmarks.nose == (240, 480)


def test_a_small_faces_crop_is_cut_from_enough_resolution(jpeg: bytes, large: Pixels) -> None:
    # 6 of 200 pixels are 48 of 1600: only the whole image has as many as the network wants.
    analyzer, detector = line(Face(Box(100, 50, 6, 6)), side=200)
    (crop,) = analyzer.preparer.prepare(analyzer.open(jpeg, Options()), Options()).crops
    assert detector.seen == [(150, 200, 3)]
    assert np.abs(crop.astype(int) - large[400:448, 800:848]).mean() < 4


def stripes() -> bytes:
    """An image whose stripes a quarter of the size has no place for: only a finer decoding shows them."""
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[:, 0::4] = pixels[:, 1::4] = 255
    return encoded(pixels, "JPEG", quality=100)


def has_stripes(crop: Pixels) -> bool:
    return bool(crop.std() > 20)


@pytest.mark.parametrize(
    ("height", "decodes_again"), [(100, False), (48, False), (47, True), (24, True), (10, True)]
)
def test_an_image_is_decoded_again_only_for_faces_that_need_it(height: int, decodes_again: bool) -> None:
    analyzer, detector = line(Face(Box(100, 100, height, height)), side=400)
    (crop,) = analyzer.preparer.prepare(analyzer.open(stripes(), Options()), Options()).crops
    assert detector.seen == [(300, 400, 3)]
    assert has_stripes(crop) is decodes_again


def test_the_smallest_of_several_faces_decides(jpeg: bytes, large: Pixels) -> None:
    faces = Face(Box(20, 20, 240, 240)), Face(Box(300, 150, 24, 24))
    analyzer, _ = line(*faces, side=400)
    _, small = analyzer.preparer.prepare(analyzer.open(stripes(), Options()), Options()).crops
    assert has_stripes(small)
    big, small = analyzer.preparer.prepare(analyzer.open(jpeg, Options()), Options()).crops
    assert np.abs(big.astype(int) - area(large[80:1040, 80:1040], 48)).mean() < 6
    assert np.abs(small.astype(int) - area(large[600:696, 1200:1296], 48)).mean() < 6


@pytest.mark.parametrize(("width", "height"), [(1600, 1200), (800, 1200), (1200, 1200)])
def test_the_whole_image_as_a_face_is_the_whole_image_padded(large: Pixels, width: int, height: int) -> None:
    pixels = np.ascontiguousarray(large[:height, :width])
    analyzer, _ = line(side=64)
    options = Options(detect=False)
    prepared = analyzer.preparer.prepare(analyzer.open(encoded(pixels, "JPEG", quality=95), options), options)
    beside, above = (max(width, height) - width) // 2, (max(width, height) - height) // 2
    padded = cv2.copyMakeBorder(pixels, above, above, beside, beside, cv2.BORDER_REPLICATE).astype(np.uint8)
    assert prepared.size == (width, height)
    assert np.abs(prepared.crops[0].astype(int) - area(padded, 48)).mean() < 6
