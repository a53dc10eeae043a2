import numpy as np
import pytest
from fer_service.contract.boxes import Box
from fer_service.detection.detector import Face
from fer_training.tasks.detection.photographs import Photograph
from fer_training.tasks.detection.scoring import EvalResult, evaluate, match_boxes

from tests.fakes import FakeDetector

PIXELS = np.zeros((200, 200, 3), np.uint8)


def photo(*boxes: tuple[float, float, float, float], bare: bool = True) -> Photograph:
    return Photograph("photo", PIXELS, np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), bare))


def scored(*boxes: tuple[float, float, float, float, float]) -> list[Face]:
    """Left, top, right, bottom, score."""
    return [Face(Box(x, y, right - x, bottom - y), score) for x, y, right, bottom, score in boxes]


def all_faces(judged: EvalResult) -> float:
    return judged.average_precision(*judged.kinds()["all"])


def test_one_box_per_face_and_no_other_is_perfect() -> None:
    judged = match_boxes(
        [scored((10, 10, 40, 40, 0.9), (100, 10, 130, 40, 0.8))],
        [photo((10, 10, 40, 40), (100, 10, 130, 40))],
        0.5,
    )
    assert all_faces(judged) == 1
    assert judged.false_boxes(0.0) == 0


def test_a_second_box_on_a_face_is_false() -> None:
    judged = match_boxes([scored((10, 10, 40, 40, 0.9), (11, 10, 41, 40, 0.8))], [photo((10, 10, 40, 40))], 0.5)
    assert judged.face.tolist() == [0, -1]
    assert judged.false_boxes(0.0) == 1
    assert judged.false_boxes(0.85) == 0


def test_a_box_that_overlaps_too_little_misses() -> None:
    judged = match_boxes([scored((30, 10, 60, 40, 0.9))], [photo((10, 10, 40, 40))], 0.5)
    assert judged.face.tolist() == [-1]
    assert all_faces(judged) == 0


def test_a_false_box_above_the_true_one_halves_the_precision() -> None:
    judged = match_boxes(
        [scored((10, 10, 40, 40, 0.5), (100, 100, 130, 130, 0.9))], [photo((10, 10, 40, 40))], 0.5
    )
    assert all_faces(judged) == pytest.approx(0.5)


def test_average_precision_is_the_area_under_the_precisions_envelope() -> None:
    faces = [(x, 10.0, x + 30, 40.0) for x in (0.0, 50.0, 100.0, 150.0)]
    found = scored((0, 10, 30, 40, 0.9), (0, 100, 30, 130, 0.8), (50, 10, 80, 40, 0.7), (100, 10, 130, 40, 0.6))
    # Precision 1 up to recall 1/4, 3/4 up to recall 3/4, then 0.
    assert all_faces(match_boxes([found], [photo(*faces)], 0.5)) == pytest.approx(1 / 4 + 3 / 4 * 2 / 4)


def test_recall_is_read_where_half_a_false_box_an_image_is_left() -> None:
    faces = photo((10, 10, 40, 40))
    found = [
        scored((10, 10, 40, 40, 0.9), (100, 100, 130, 130, 0.7)),
        scored((10, 10, 40, 40, 0.5), (100, 100, 130, 130, 0.6)),
    ]
    judged = match_boxes(found, [faces, faces], 0.5)
    least = judged.score_at(0.5)
    assert 0.6 < least < 0.7
    assert judged.false_boxes(least) == 0.5
    assert judged.recall(judged.kinds()["all"][0], least) == 0.5
    assert judged.score_at(1.0) == 0.0


def test_kinds_part_faces_by_height_and_by_what_hides_them() -> None:
    bare, covered = photo((0, 0, 9, 11), (0, 50, 20, 70), (100, 50, 130, 85)), photo((0, 0, 60, 60), bare=False)
    kinds = match_boxes([[], []], [bare, covered], 0.5).kinds()
    counts = {name: int(faces.sum()) for name, (faces, _) in kinds.items()}
    assert counts == {
        "all": 3,
        "bare 12–24": 1, "bare 24–48": 1, "bare 48+": 0, "bare 24+": 1,
        "occluded 12–24": 0, "occluded 24–48": 0, "occluded 48+": 1, "occluded 24+": 1,
    }  # fmt: skip


def test_boxes_on_faces_of_another_kind_are_ignored() -> None:
    two = Photograph(
        "two", PIXELS, np.array([[0, 0, 30, 30], [50, 0, 80, 30]], np.float32), np.array([True, False])
    )
    judged = match_boxes([scored((50, 0, 80, 30, 0.9), (0, 0, 30, 30, 0.5))], [two], 0.5)
    assert judged.average_precision(*judged.kinds()["bare 24–48"]) == 1


def test_tiny_false_boxes_do_not_count() -> None:
    judged = match_boxes([scored((0, 0, 8, 8, 0.9))], [photo((100, 100, 130, 130))], 0.5)
    assert judged.false_boxes(0.0) == 0


def test_a_detector_is_asked_about_every_photograph() -> None:
    detector = FakeDetector(*scored((10, 10, 40, 40, 0.9)))
    judged = evaluate(detector, [photo((10, 10, 40, 40)), photo()])
    assert judged.face.tolist() == [0, -1]
    assert judged.image.tolist() == [0, 1]


def test_boxes_without_a_score_count_as_certain() -> None:
    judged = match_boxes([[Face(Box(10, 10, 30, 30))]], [photo((10, 10, 40, 40))], 0.5)
    assert judged.scores.tolist() == [1.0]
