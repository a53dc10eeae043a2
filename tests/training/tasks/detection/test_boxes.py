import numpy as np
import pytest
from fer_training.tasks.detection.boxes import clip_boxes, transform_boxes


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_a_quarter_turn_swaps_the_sides_about_the_centre() -> None:
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
    assert transform_boxes(boxes((10, 20, 14, 30)), turn)[0].tolist() == pytest.approx([-30, 10, -20, 14])


def test_a_turned_round_face_keeps_its_size() -> None:
    angle = np.deg2rad(30)
    turn = np.array([[np.cos(angle), -np.sin(angle), 5.0], [np.sin(angle), np.cos(angle), 0.0]])
    left, top, right, bottom = transform_boxes(boxes((-4, -4, 4, 4)), turn)[0]
    assert (right - left, bottom - top) == pytest.approx((8, 8))
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((5, 0), abs=1e-5)


def test_what_lies_outside_is_cut_off() -> None:
    assert clip_boxes(boxes((-5, 2, 20, 30)), 10, 12)[0].tolist() == [0, 2, 10, 12]
