from pathlib import Path

import numpy as np
import pytest
from fer_service import assets
from fer_service.contract.boxes import Box
from fer_service.detection.choice import choose_detector
from fer_service.detection.coarse_first import CoarseFirst
from fer_service.detection.detector import Detector, Face
from fer_service.detection.haar import Haar
from fer_service.detection.tiny import TinyDetector
from fer_service.detection.yunet import YuNet
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image

from tests.fakes import FakeDetector

IMAGE = np.zeros((480, 640, 3), np.uint8)
FINE = Face(Box(300, 200, 30, 40), 0.9)
# The coarse image is 320 of 640 pixels wide, and a face of 32 in it is one of 64 here.
LARGE = Face(Box(100, 100, 80, 100), 0.8)


def two_passes(*first: Face) -> tuple[CoarseFirst, FakeDetector, FakeDetector]:
    coarse, fine = FakeDetector(*first, side=320), FakeDetector(FINE, side=640)
    return CoarseFirst(coarse, fine), coarse, fine


def test_large_faces_with_the_score_need_no_fine_pass() -> None:
    other = Face(Box(300, 100, 60, 80), 0.6)
    detector, coarse, fine = two_passes(LARGE, other)
    assert detector.detect(IMAGE, 0.6) == [LARGE, other]
    assert (len(coarse.seen), len(fine.seen)) == (1, 0)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param((), id="nothing found"),
        pytest.param((LARGE, Face(Box(300, 100, 60, 80), 0.11)), id="a candidate below the score"),
        pytest.param((Face(Box(100, 100, 80, 100), 0.55),), id="the only face below the score"),
        pytest.param((LARGE, Face(Box(300, 100, 60, 63), 0.9)), id="a small face"),
        pytest.param((Face(Box(100, 100, 80, 100)),), id="a face without a score"),
    ],
)
def test_an_inconclusive_coarse_pass_is_followed_by_a_fine_one(first: tuple[Face, ...]) -> None:
    detector, coarse, fine = two_passes(*first)
    assert detector.detect(IMAGE, 0.6) == [FINE]
    assert (len(coarse.seen), len(fine.seen)) == (1, 1)


def test_the_candidate_score_is_a_share_of_the_minimum_score() -> None:
    faint = Face(Box(300, 100, 60, 80), 0.11)
    assert two_passes(LARGE, faint)[0].detect(IMAGE, 0.6) == [FINE]
    assert two_passes(LARGE, faint)[0].detect(IMAGE, 0.1) == [LARGE, faint]
    # 0.11 is less than a sixth of 0.7: the coarse pass does not report it.
    assert two_passes(LARGE, faint)[0].detect(IMAGE, 0.7) == [LARGE]


def test_a_small_image_gets_the_fine_pass_only() -> None:
    detector, coarse, fine = two_passes(LARGE)
    assert detector.detect(np.zeros((200, 639, 3), np.uint8), 0.6) == [FINE]
    assert (len(coarse.seen), len(fine.seen)) == (0, 1)
    detector.detect(np.zeros((640, 200, 3), np.uint8), 0.6)
    assert len(coarse.seen) == 1


def test_it_has_the_properties_of_the_fine_detector() -> None:
    detector: Detector = two_passes()[0]
    assert (detector.name, detector.side, detector.frame_scale) == ("fake", 640, 1.0)


@pytest.mark.parametrize("choice", ["own", "planted"])
def test_both_passes_share_one_session(choice: str, yunet_file: Path) -> None:
    detector = choose_detector(choice if choice == "own" else str(yunet_file), 640, coarse=320)
    assert isinstance(detector, CoarseFirst)
    coarse, fine = detector.coarse, detector.fine
    assert isinstance(coarse, TinyDetector | YuNet)
    assert isinstance(fine, TinyDetector | YuNet)
    assert (coarse.side, fine.side) == (320, 640)
    assert coarse._session is fine._session


@pytest.mark.parametrize("coarse", [0, 161])
def test_a_coarse_side_above_half_the_side_is_not_used(coarse: int) -> None:
    assert isinstance(choose_detector("own", 320, coarse=coarse), TinyDetector)
    assert isinstance(choose_detector("own", 320, coarse=160), CoarseFirst)


def test_haar_has_no_coarse_pass() -> None:
    assert isinstance(choose_detector("haar", 640, coarse=320), Haar)


def test_both_passes_find_the_same_face(astronaut_jpeg: bytes) -> None:
    image = open_image(astronaut_jpeg, 10**7)
    pixels = decode(image.data, image.header)
    detector = choose_detector("own", 640, coarse=320, own=assets.DETECTOR)
    assert isinstance(detector, CoarseFirst)
    for look in (detector.coarse, detector.fine):
        face = max(look.detect(pixels, 0.6), key=lambda face: face.score or 0)
        assert face.box.center == pytest.approx((224, 130), abs=15)
        assert face.box.height == pytest.approx(115, rel=0.25)
