from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.loading import load
from fer_service.contract.boxes import Box
from fer_service.contract.job import Job
from fer_service.contract.settings import load_settings
from fer_service.detection.choice import choose_detector
from fer_service.detection.detector import Detector, Face, Search
from fer_service.detection.orientations import ROLLS, TURNED_SCORE, Orientations, search_all_orientations, unturned
from fer_service.detection.orientations import upright as upright_search
from fer_service.detection.scales import Scales
from numpy.typing import NDArray

from tests.scenes import encode_image

Pixels = NDArray[np.uint8]
IMAGE = np.zeros((480, 640, 3), np.uint8)
SCORE = 0.6
SCALES = [(240, 320), (120, 160), (480, 640)]
TURNED_SCALES = [(320, 240), (160, 120), (640, 480)]
IMAGE_SHEET = (128, 192)  # two tiles of 96 × 128
DOUBTFUL_SHEET = (128, 320)  # one more of 96 × 128 between them, upside down
VIEW_SHEET = (96, 384)  # four tiles of 96 × 96
CLEAR, DOUBTFUL, WEAK = 0.99, 0.88, 0.7


class FakeNetwork:
    """Answers for images of a given height and width, and notes the sizes of all images."""

    name, side, frame_scale = "fake", 640, 1.1

    def __init__(self, answers: dict[tuple[int, int], Sequence[Face]] | None = None) -> None:
        self.answers = answers or {}
        self.looks: list[tuple[int, int]] = []

    def detect(self, pixels: Pixels, min_score: float, job: Job | None = None) -> list[Face]:
        self.looks.append((pixels.shape[0], pixels.shape[1]))
        return [face for face in self.answers.get(self.looks[-1], ()) if (face.score or 0) >= min_score]


def at_all_scales(sizes: list[tuple[int, int]], face: Face) -> dict[tuple[int, int], Sequence[Face]]:
    """Answer with the face, in pixels of the last size, at each of its sizes."""
    return {size: [face.scaled(*[size[0] / sizes[-1][0]] * 2)] for size in sizes}


def upright(score: float) -> dict[tuple[int, int], Sequence[Face]]:
    return at_all_scales(SCALES, Face(Box(200, 100, 200, 240), score))


def turned(score: float) -> dict[tuple[int, int], Sequence[Face]]:
    return at_all_scales(TURNED_SCALES, Face(Box(100, 200, 200, 240), score))


def tile(x: float, score: float) -> Face:
    return Face(Box(x - 20, 24, 40, 48), score)


def found(*answers: dict[tuple[int, int], Sequence[Face]]) -> tuple[list[Face], list[tuple[int, int]]]:
    network = FakeNetwork({size: faces for answer in answers for size, faces in answer.items()})
    return Orientations(Scales(network), upright_score=0.95).detect(IMAGE, SCORE), network.looks


def test_an_image_without_a_face_costs_one_more_look() -> None:
    assert found() == ([], [*SCALES, IMAGE_SHEET])


def test_weak_candidates_may_be_a_face_that_is_upside_down() -> None:
    weak = {SCALES[-1]: [Face(Box(200, 100, 200, 240), SCORE / 2)]}
    assert found(weak) == ([], [*SCALES, DOUBTFUL_SHEET])
    (face,), looks = found(weak, {DOUBTFUL_SHEET: [tile(48, CLEAR)]}, turned(CLEAR))
    assert (face.roll, looks[3:]) == (90, [DOUBTFUL_SHEET, TURNED_SCALES[0]])


def test_a_close_face_that_is_upside_down_is_found(astronaut: Pixels) -> None:
    close = cv2.resize(astronaut[60:190, 160:290], (240, 240), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    detector = choose_detector("own", 640, orientations=True)
    (face,) = detector.detect(np.ascontiguousarray(close[::-1, ::-1]), SCORE)
    assert face.roll == 180


def test_a_clear_face_costs_no_more_look() -> None:
    faces, looks = found(upright(CLEAR))
    assert [face.roll for face in faces] == [0]
    assert looks == SCALES[:1]


def test_a_doubtful_face_costs_one_more_look() -> None:
    faces, looks = found(upright(DOUBTFUL), {VIEW_SHEET: [tile(48, DOUBTFUL), tile(240, DOUBTFUL)]})
    assert [face.roll for face in faces] == [0]
    assert looks == [*SCALES[:1], VIEW_SHEET]


def test_a_weak_face_costs_two_more_looks() -> None:
    faces, looks = found(upright(WEAK))
    assert [face.roll for face in faces] == [0]
    assert looks[-2:] == [VIEW_SHEET, (128, 192)]


@pytest.mark.parametrize(("x", "roll"), [(48, 90), (144, -90)])
def test_a_face_on_the_sheet_is_searched_in_the_whole_image(x: float, roll: int) -> None:
    (face,), looks = found({IMAGE_SHEET: [tile(x, CLEAR)]}, turned(CLEAR))
    assert looks == [*SCALES, IMAGE_SHEET, TURNED_SCALES[0]]
    assert (face.roll, face.score) == (roll, CLEAR)
    assert (face.box.width, face.box.height) == (240, 200)


def test_a_face_on_the_sheet_that_the_whole_image_lacks_is_none() -> None:
    assert found({IMAGE_SHEET: [tile(48, CLEAR)]}) == ([], [*SCALES, IMAGE_SHEET, *TURNED_SCALES])


@pytest.mark.parametrize("score", [SCORE, TURNED_SCORE - 0.01])
def test_a_turned_face_needs_a_higher_score(score: float) -> None:
    assert found({IMAGE_SHEET: [tile(48, score)]}, turned(CLEAR))[0] == []
    assert found({IMAGE_SHEET: [tile(48, CLEAR)]}, turned(score))[0] == []


def test_the_wanted_score_may_be_higher() -> None:
    network = FakeNetwork({IMAGE_SHEET: [tile(48, CLEAR)]} | turned(0.9))
    detector = Orientations(Scales(network), upright_score=0.95)
    assert detector.detect(IMAGE, 0.95) == []
    assert len(detector.detect(IMAGE, 0.9)) == 1


@pytest.mark.parametrize("wanted", [0.01, 0.3, SCORE])
def test_a_lower_wanted_score_does_not_turn_faces_another_way(wanted: float) -> None:
    weak = Face(Box(300, 300, 100, 120), 0.4)
    network = FakeNetwork({SCALES[-1]: [weak], DOUBTFUL_SHEET: [tile(48, CLEAR)]} | turned(CLEAR))
    (face,) = Orientations(Scales(network), upright_score=0.95).detect(IMAGE, wanted)
    assert (face.roll, face.score) == (90, CLEAR)


def test_the_search_in_all_orientations_keeps_doubtful_faces() -> None:
    best, doubtful = Face(Box(60, 100, 200, 240), CLEAR), Face(Box(400, 100, 150, 180), WEAK)
    answers = {size: [face.scaled(*[size[0] / 480] * 2) for face in (best, doubtful)] for size in SCALES}
    detector = Orientations(Scales(FakeNetwork(answers)), upright_score=0.95)
    assert len(detector.detect(IMAGE, SCORE)) == 1
    assert len(search_all_orientations(detector, IMAGE, SCORE)) == 2


@pytest.mark.parametrize(("x", "roll"), [(144, 90), (240, 180), (336, -90)])
def test_a_face_that_is_clearer_in_another_orientation_is_turned(x: float, roll: int) -> None:
    size = SCALES if roll == 180 else TURNED_SCALES
    network = FakeNetwork({VIEW_SHEET: [tile(48, DOUBTFUL), tile(x, CLEAR)]} | upright(DOUBTFUL) | turned(CLEAR))
    if roll == 180:
        answers = iter([DOUBTFUL, CLEAR])
        network.answers = {VIEW_SHEET: network.answers[VIEW_SHEET]}
        detect = network.detect

        def changing(pixels: Pixels, min_score: float, job: Job | None = None) -> list[Face]:
            if pixels.shape[:2] == SCALES[0]:
                network.answers[SCALES[0]] = upright(next(answers))[SCALES[0]]
            return detect(pixels, min_score, job)

        network.detect = changing  # type: ignore[method-assign]
    (face,) = Orientations(Scales(network), upright_score=0.95).detect(IMAGE, SCORE)
    assert (face.roll, face.score) == (roll, CLEAR)
    assert network.looks == [SCALES[0], VIEW_SHEET, size[0]]


def test_a_face_that_is_hardly_clearer_stays_upright() -> None:
    faces, looks = found(upright(0.9), {VIEW_SHEET: [tile(48, 0.9), tile(144, 0.92)]}, turned(CLEAR))
    assert ([face.roll for face in faces], len(looks)) == ([0], 2)


def test_the_upright_face_stays_if_the_turned_image_shows_none_clearer() -> None:
    faces, _ = found(upright(0.9), {VIEW_SHEET: [tile(144, CLEAR)]}, turned(0.89))
    assert [face.roll for face in faces] == [0]


@pytest.mark.parametrize("turns", ROLLS)
def test_a_face_of_the_turned_image_is_given_in_pixels_of_the_image(turns: int) -> None:
    image = np.zeros((40, 60), np.uint8)
    image[10:15, 20:23] = 1
    rows, columns = np.nonzero(np.rot90(image, turns))
    box = Box(columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
    face = unturned(Face(box, 0.9), turns, image.shape)
    assert face == Face(Box(20, 10, 3, 5), 0.9, roll=ROLLS[turns])


def test_it_has_the_properties_of_the_detector_and_takes_another_network() -> None:
    detector: Detector = Orientations(Scales(FakeNetwork(), coarse_first=False), upright_score=0.5)
    assert (detector.name, detector.side, detector.frame_scale) == ("fake", 640, 1.1)
    assert isinstance(detector, Search)
    assert isinstance(detector, Orientations)
    other = FakeNetwork()
    assert upright_search(detector) is detector.scales
    assert upright_search(detector.scales) is detector.scales
    around = detector.around(other)
    assert isinstance(around, Orientations)
    assert (around.network, around.upright_score, around.scales.coarse_first) == (other, 0.5, False)


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return load(load_settings(detector="own", device="cpu"))


@pytest.mark.parametrize("side", [320, 512, 1400])
@pytest.mark.parametrize(("turns", "roll"), [(0, 0), *ROLLS.items()])
def test_a_turned_portrait_has_the_emotion_of_the_upright_one(
    analyzer: Analyzer, astronaut: Pixels, turns: int, roll: int, side: int
) -> None:
    part = astronaut[:320, 60:380]
    portrait = cv2.resize(part, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    image = np.ascontiguousarray(np.rot90(portrait, -turns))
    (expected,) = analyzer.analyze(encode_image(portrait, ".png")).faces
    (face,) = analyzer.analyze(encode_image(image, ".png")).faces
    assert face.emotion == expected.emotion
    assert abs((face.roll - roll + 180) % 360 - 180) < 6
    assert face.probabilities == pytest.approx(expected.probabilities, abs=0.05)
    size = (expected.box.width, expected.box.height)
    assert (face.box.width, face.box.height) == pytest.approx(
        size if turns % 2 == 0 else size[::-1], abs=side / 50
    )


def test_a_landscape_photograph_shows_the_box_in_its_own_pixels(astronaut: Pixels) -> None:
    portrait = np.concatenate([astronaut[:, 60:380], astronaut[300:, 60:380]])
    height = portrait.shape[0]
    detector = choose_detector("own", 640, orientations=True)
    (expected,) = detector.detect(portrait, SCORE)
    (face,) = detector.detect(np.ascontiguousarray(np.rot90(portrait, -1)), SCORE)
    x, y = expected.box.center
    assert face.roll == 90
    assert face.box.center == pytest.approx((height - y, x), abs=4)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_plain_image_has_no_face_in_any_orientation(level: int) -> None:
    detector = choose_detector("own", 640, orientations=True)
    assert detector.detect(np.full((480, 640, 3), level, np.uint8), SCORE) == []


def test_noise_has_no_face_in_any_orientation() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    assert choose_detector("own", 640, orientations=True).detect(noise, SCORE) == []


def test_haar_finds_only_upright_faces() -> None:
    assert choose_detector("haar", 640, orientations=True).name == "haar"
