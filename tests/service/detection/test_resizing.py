import cv2
import numpy as np
import pytest
from fer_service.detection.resizing import shrunk, shrunk_size


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((480, 640), 640, (480, 640)),
        ((1000, 3000), 256, (85, 256)),
        ((700, 640), 320, (320, 293)),
        ((9, 4000), 64, (1, 64)),
    ],
)
def test_the_long_side_is_what_was_asked_for(size: tuple[int, int], side: int, expected: tuple[int, int]) -> None:
    small = shrunk(np.zeros((*size, 3), np.uint8), side)
    assert small.shape == (*expected, 3)
    assert shrunk_size(*size, side) == expected


def test_no_larger_image_is_made() -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    assert shrunk(image, 64) is image


@pytest.mark.parametrize("side", [200, 256, 300, 320, 600])
def test_fine_stripes_turn_grey_instead_of_coarse_stripes(side: int) -> None:
    stripes = np.zeros((600, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    inner = shrunk(stripes, side)[5:-5, 5:-5]
    contrast = float(inner.std()) / float(stripes.std())
    # Sampled without averaging, half of the size or less keeps all of it in places.
    assert contrast < (0.05 if side <= 400 else 0.75)


def test_the_image_is_not_shifted() -> None:
    pixels = np.zeros((900, 1200, 3), np.uint8)
    cv2.circle(pixels, (900, 300), 60, (255, 255, 255), -1)
    small = shrunk(pixels, 256)[..., 0].astype(float)
    rows, columns = np.indices(small.shape)
    weight = small.sum()
    centre = (
        ((columns * small).sum() / weight + 0.5) / small.shape[1],
        ((rows * small).sum() / weight + 0.5) / small.shape[0],
    )
    assert centre == pytest.approx((0.75, 1 / 3), abs=0.002)
