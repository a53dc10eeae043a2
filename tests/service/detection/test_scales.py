import cv2
import numpy as np
import pytest
from fer_service.contract.boxes import Box
from fer_service.contract.job import Job
from fer_service.detection import close_look
from fer_service.detection.choice import choose_detector
from fer_service.detection.detector import Detector, Face
from fer_service.detection.haar import Haar
from fer_service.detection.scales import Scales, scaled, without_overlaps
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
IMAGE = np.zeros((960, 1280, 3), np.uint8)  # searched at 640, 320 and 160 pixels
SCORE = 0.6
LARGE = Face(Box(400, 200, 300, 400), 0.9)
SMALL = Face(Box(1000, 200, 60, 80), 0.9)


class FakeNetwork:
    """Finds different faces at each scale; all are given, and expected, in pixels of the whole image."""

    name, side, frame_scale = "fake", 640, 1.1

    def __init__(self, full: list[Face], half: list[Face], quarter: list[Face]) -> None:
        self.faces = {640: full, 320: half, 160: quarter}
        self.searched: list[int] = []

    def detect(self, pixels: Pixels, min_score: float, job: Job | None = None) -> list[Face]:
        side = max(pixels.shape[:2])
        if side == close_look.SIDE:
            return [Face(Box(66, 56, 60, 80), 0.9)]  # in its middle, as high as it must be
        self.searched.append(side)
        factor = side / IMAGE.shape[1]
        return [face.scaled(factor, factor) for face in self.faces[side] if (face.score or 0) >= min_score]


def found(full: list[Face], half: list[Face], quarter: list[Face]) -> tuple[list[Face], list[int]]:
    network = FakeNetwork(full, half, quarter)
    return Scales(network).detect(IMAGE, SCORE), network.searched


def test_large_faces_with_the_score_need_no_full_scale() -> None:
    other = Face(Box(100, 100, 120, 160), 0.7)
    assert found([], [LARGE, other], [LARGE]) == ([LARGE, other], [320])


def test_a_close_face_that_only_the_quarter_finds_needs_no_full_scale() -> None:
    # 250 pixels high at the half scale: more than that must find.
    close = Face(Box(100, 0, 900, 960), 0.9)
    assert found([], [], [close]) == ([close], [320, 160])


def test_a_thumbnail_is_enlarged_and_its_faces_are_in_its_own_pixels() -> None:
    face = Face(Box(40, 30, 50, 60), 0.9)
    network = FakeNetwork([], [], [])
    network.faces = {128: [face.scaled(10, 10)], 64: [face.scaled(10, 10)]}  # in pixels of IMAGE
    faces, looks = Scales(network).search(np.zeros((32, 64, 3), np.uint8), SCORE)
    assert network.searched == [64, 128]
    assert faces == [face.scaled(0.5, 0.5)]
    assert [look.scale for look in looks] == [1, 2]
    assert looks[0].candidates == faces


@pytest.mark.parametrize("side", [40, 48, 64, 96])
def test_the_face_of_a_thumbnail_is_found(astronaut: Pixels, side: int) -> None:
    crop = cv2.resize(astronaut[:320, 90:410], (side, side), interpolation=cv2.INTER_AREA)
    (face,) = choose_detector("own", 640).detect(crop.astype(np.uint8), SCORE)
    assert face.box.center == pytest.approx((0.41 * side, 0.40 * side), abs=0.1 * side)


@pytest.mark.parametrize(
    ("half", "quarter", "scales"),
    [
        pytest.param([], [], [320, 160, 640], id="nothing found"),
        pytest.param([Face(LARGE.box, 0.55)], [], [320, 160, 640], id="the only face below the score"),
        pytest.param([], [LARGE], [320, 160, 640], id="a face that only the quarter finds"),
        pytest.param([LARGE, Face(Box(1000, 200, 60, 80), 0.11)], [], [320, 640], id="a weak candidate"),
        pytest.param([LARGE, Face(Box(1000, 200, 100, 127), 0.9)], [], [320, 640], id="a small face"),
    ],
)
def test_a_doubt_is_settled_at_the_full_scale(half: list[Face], quarter: list[Face], scales: list[int]) -> None:
    faces, searched = found([LARGE, SMALL], half, quarter)
    assert searched == scales
    assert [face.box.x for face in faces] == [400, 1000]


def test_a_doubtful_part_of_a_face_is_no_doubt() -> None:
    mouth = Face(Box(500, 450, 120, 80), 0.3)
    assert found([], [LARGE, mouth], [LARGE]) == ([LARGE], [320])


def test_the_candidate_score_is_a_share_of_the_minimum_score() -> None:
    faint = Face(Box(1000, 200, 150, 200), 0.11)
    for min_score, searched in ((0.6, [320, 640]), (0.1, [320]), (0.7, [320])):
        network = FakeNetwork([], [LARGE, faint], [LARGE, faint])
        Scales(network).detect(IMAGE, min_score)
        assert network.searched == searched


def test_the_clear_find_of_a_smaller_scale_is_kept() -> None:
    parts = [Face(Box(420, 220, 140, 180), 0.62), Face(Box(500, 400, 180, 150), 0.58)]
    faces, searched = found([*parts, SMALL], [Face(LARGE.box, 0.95), SMALL], [LARGE])
    assert 640 in searched
    assert faces == [Face(LARGE.box, 0.95), SMALL]


def test_all_scales_are_searched_without_coarse_first() -> None:
    network = FakeNetwork([SMALL], [LARGE], [LARGE])
    assert Scales(network, coarse_first=False).detect(IMAGE, SCORE) == [LARGE, SMALL]
    assert sorted(network.searched) == [160, 320, 640]


@pytest.mark.parametrize(
    ("shape", "sides"),
    [
        ((960, 1280, 3), [640, 320, 160]),
        ((400, 300, 3), [400, 200, 100]),
        ((130, 255, 3), [255, 127]),
        ((48, 48, 3), [48]),
        ((1, 5000, 3), [640, 320, 160]),
    ],
)
def test_an_image_is_searched_at_its_size_a_half_and_a_quarter(shape: tuple[int, ...], sides: list[int]) -> None:
    images = scaled(np.zeros(shape, np.uint8), 640)
    assert [max(image.shape[:2]) for image in images] == sides
    assert min(min(image.shape[:2]) for image in images) >= 1


@pytest.mark.parametrize(
    ("half", "faces"),
    [
        pytest.param([LARGE], [LARGE], id="nothing at the half scale"),
        pytest.param([LARGE, Face(Box(1000, 200, 150, 200), 0.29)], [LARGE], id="too little at the half scale"),
        pytest.param(
            [LARGE, Face(Box(990, 190, 150, 200), 0.31)],
            [LARGE, Face(Box(1000, 200, 150, 200), 0.7)],
            id="seen at the half scale",
        ),
    ],
)
def test_a_face_that_another_scale_should_see_too_needs_its_confirmation(
    half: list[Face], faces: list[Face]
) -> None:
    network = FakeNetwork([LARGE, Face(Box(1000, 200, 150, 200), 0.7)], half, [LARGE])
    assert Scales(network, coarse_first=False).detect(IMAGE, SCORE) == faces


BUTTON = Box(600, 700, 36, 48)  # 12 pixels high at the half scale


@pytest.mark.parametrize(
    ("score", "at_half", "near", "kept"),
    [
        pytest.param(0.74, [], LARGE, False, id="only the full scale shows it"),
        pytest.param(0.74, [Face(BUTTON, 0.29)], LARGE, False, id="the half scale shows too little"),
        pytest.param(0.74, [Face(BUTTON, 0.31)], LARGE, True, id="the half scale shows it too"),
        pytest.param(0.76, [], LARGE, True, id="a higher score"),
        pytest.param(0.62, [], SMALL, True, id="no far larger face"),
    ],
)
def test_a_small_face_beside_a_far_larger_one_needs_more(
    score: float, at_half: list[Face], near: Face, kept: bool
) -> None:
    button = Face(BUTTON, score)
    network = FakeNetwork([near, button], [near, *at_half], [near])
    faces = Scales(network, coarse_first=False).detect(IMAGE, SCORE)
    assert faces == ([near, button] if kept else [near])


@pytest.mark.parametrize(("count", "kept"), [(2, 0), (3, 3)])
def test_many_small_faces_beside_a_larger_one_are_a_crowd(count: int, kept: int) -> None:
    small = [Face(BUTTON._replace(x=100 * number), 0.62) for number in range(count)]
    faces = Scales(FakeNetwork([LARGE, *small], [LARGE], [LARGE]), coarse_first=False).detect(IMAGE, SCORE)
    assert len(faces) == 1 + kept


def test_the_best_face_needs_no_confirmation_if_its_score_is_clear() -> None:
    assert found([LARGE], [], [])[0] == [LARGE]
    assert found([Face(LARGE.box, 0.65)], [], [])[0] == []


def test_duplicates_and_parts_are_one_face() -> None:
    moved = Face(Box(430, 220, 300, 400), 0.8)
    part = Face(Box(450, 300, 100, 100), 0.85)
    beside = Face(Box(650, 200, 300, 400), 0.7)  # overlaps by a sixth
    assert without_overlaps([part, beside, moved, LARGE]) == [LARGE, beside]
    assert without_overlaps([]) == []


def test_a_face_without_a_score_comes_last() -> None:
    unscored = Face(Box(0, 0, 50, 50))
    assert without_overlaps([unscored, LARGE]) == [LARGE, unscored]


def test_it_has_the_properties_of_the_detector() -> None:
    detector: Detector = Scales(FakeNetwork([], [], []))
    assert (detector.name, detector.side, detector.frame_scale) == ("fake", 640, 1.1)


def test_haar_searches_its_own_scales() -> None:
    assert isinstance(choose_detector("haar", 640), Haar)


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
@pytest.mark.parametrize("side", [160, 240, 400, 480, 600, 640, 1080, 2000])
def test_one_face_is_found_at_every_size_of_the_image(astronaut: Pixels, share: float, side: int) -> None:
    x, y, height = 222, 128, 105
    half = round(height / share / 2)
    part = astronaut[max(y - half, 0) : y + half, x - half : x + half]
    image = cv2.resize(part, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    (face,) = choose_detector("own", 640).detect(image, SCORE)
    assert face.box.height == pytest.approx(share * side, rel=0.4)
