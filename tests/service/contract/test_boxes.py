import numpy as np
import pytest
from fer_service.contract.boxes import Box, iou


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        (Box(10, 5, 30, 40), (10, 5, 30, 40)),
        (Box(-10, -20, 30, 40), (0, 0, 20, 20)),
        (Box(90, 40, 30, 40), (90, 40, 10, 10)),
        (Box(500, 500, 30, 40), (99, 49, 1, 1)),
        (Box(10.6, 20.4, 0.1, 0.1), (11, 20, 1, 1)),
    ],
)
def test_a_clipped_box_is_whole_pixels_inside_the_image(box: Box, clipped: tuple[int, int, int, int]) -> None:
    assert box.clipped(100, 50) == clipped


def test_center_and_area() -> None:
    assert Box(10, 20, 30, 40).center == (25, 40)
    assert Box(10, 20, 30, 40).area == 1200


def test_iou_is_shared_area_over_joint_area() -> None:
    one = np.array([0.0, 0, 10, 10])
    others = np.array([[0.0, 0, 10, 10], [5, 0, 10, 10], [20, 20, 5, 5], [0, 0, 5, 10]])
    assert iou(one, others) == pytest.approx([1, 1 / 3, 0, 0.5])


def test_boxes_without_area_do_not_divide_by_zero() -> None:
    assert iou(np.zeros(4), np.zeros(4)) == 0
