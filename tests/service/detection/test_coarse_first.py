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
from fer_service.imaging.decode import decode, read_header

from tests.fakes import FakeDetector

PICTURE = np.zeros((480, 640, 3), np.uint8)
FINE = Face(Box(300, 200, 30, 40), 0.9)
# The coarse image is 320 of 640 pixels wide, and a face of 32 in it is one of 64 here.
NEAR = Face(Box(100, 100, 80, 100), 0.8)


def looking(*first: Face) -> tuple[CoarseFirst, FakeDetector, FakeDetector]:
    coarse, fine = FakeDetector(*first, side=320), FakeDetector(FINE, side=640)
    return CoarseFirst(coarse, fine), coarse, fine


def test_near_faces_without_a_doubt_are_settled_by_the_first_look() -> None:
    other = Face(Box(300, 100, 60, 80), 0.6)
    detector, coarse, fine = looking(NEAR, other)
    assert detector.detect(PICTURE, 0.6) == [NEAR, other]
    assert (len(coarse.seen), len(fine.seen)) == (1, 0)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param((), id="nothing found"),
        pytest.param((NEAR, Face(Box(300, 100, 60, 80), 0.11)), id="some doubt about a second face"),
        pytest.param((Face(Box(100, 100, 80, 100), 0.55),), id="some doubt about the only one"),
        pytest.param((NEAR, Face(Box(300, 100, 60, 63), 0.9)), id="a face so small that smaller ones may be near"),
        pytest.param((Face(Box(100, 100, 80, 100)),), id="a face without a score"),
    ],
)
def test_a_doubt_takes_a_second_look(first: tuple[Face, ...]) -> None:
    detector, coarse, fine = looking(*first)
    assert detector.detect(PICTURE, 0.6) == [FINE]
    assert (len(coarse.seen), len(fine.seen)) == (1, 1)


def test_what_is_a_doubt_goes_with_the_score_that_is_wanted() -> None:
    faint = Face(Box(300, 100, 60, 80), 0.11)
    assert looking(NEAR, faint)[0].detect(PICTURE, 0.6) == [FINE]
    assert looking(NEAR, faint)[0].detect(PICTURE, 0.1) == [NEAR, faint]
    # 0.11 is less than a sixth of 0.7: the first look does not report it.
    assert looking(NEAR, faint)[0].detect(PICTURE, 0.7) == [NEAR]


def test_a_small_image_is_looked_at_once() -> None:
    detector, coarse, fine = looking(NEAR)
    assert detector.detect(np.zeros((200, 639, 3), np.uint8), 0.6) == [FINE]
    assert (len(coarse.seen), len(fine.seen)) == (0, 1)
    detector.detect(np.zeros((640, 200, 3), np.uint8), 0.6)
    assert len(coarse.seen) == 1


def test_it_is_known_by_the_finer_detector() -> None:
    detector: Detector = looking()[0]
    assert (detector.name, detector.side, detector.frame_scale) == ("fake", 640, 1.0)


@pytest.mark.parametrize("choice", ["own", "planted"])
def test_networks_share_one_session_between_the_looks(choice: str, yunet_file: Path) -> None:
    detector = choose_detector(choice if choice == "own" else str(yunet_file), 640, coarse=320)
    assert isinstance(detector, CoarseFirst)
    coarse, fine = detector.coarse, detector.fine
    assert isinstance(coarse, TinyDetector | YuNet)
    assert isinstance(fine, TinyDetector | YuNet)
    assert (coarse.side, fine.side) == (320, 640)
    assert coarse._session is fine._session


@pytest.mark.parametrize("coarse", [0, 161])
def test_without_a_side_that_is_worth_it_there_is_one_look(coarse: int) -> None:
    assert isinstance(choose_detector("own", 320, coarse=coarse), TinyDetector)
    assert isinstance(choose_detector("own", 320, coarse=160), CoarseFirst)


def test_haar_looks_once() -> None:
    assert isinstance(choose_detector("haar", 640, coarse=320), Haar)


def test_both_looks_see_the_same_face(astronaut_jpeg: bytes) -> None:
    pixels = decode(astronaut_jpeg, read_header(astronaut_jpeg, 10**7))
    detector = choose_detector("own", 640, coarse=320, own=assets.DETECTOR)
    assert isinstance(detector, CoarseFirst)
    for look in (detector.coarse, detector.fine):
        face = max(look.detect(pixels, 0.6), key=lambda face: face.score or 0)
        assert face.box.center == pytest.approx((224, 130), abs=15)
        assert face.box.height == pytest.approx(115, rel=0.25)
