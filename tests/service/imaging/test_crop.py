import math

import cv2
import numpy as np
import pytest
from fer_service.contract.boxes import Box
from fer_service.contract.bundle import CropGeometry
from fer_service.imaging.crop import Square, crop, square_around, square_over

from tests.service.conftest import Pixels

PLAIN = CropGeometry()
FACE = Square(x=225, y=125, side=130)


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def difference(left: Pixels, right: Pixels) -> float:
    return float(np.abs(left.astype(int) - right.astype(int)).mean())


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_a_square_of_the_input_size_is_cut_out_unchanged(interpolation: str) -> None:
    pixels, geometry = noise(100, 120), CropGeometry.model_validate({"interpolation": interpolation})
    cut = crop(pixels, Square(x=44, y=54, side=48), 48, geometry)
    np.testing.assert_array_equal(cut, pixels[30:78, 20:68])


def test_the_whole_of_a_square_image_is_the_image() -> None:
    pixels = noise(48, 48)
    np.testing.assert_array_equal(crop(pixels, square_over(48, 48), 48, PLAIN), pixels)


@pytest.mark.parametrize(("interpolation", "flag"), [("linear", cv2.INTER_LINEAR), ("cubic", cv2.INTER_CUBIC)])
def test_enlarging_interpolates_as_the_bundle_says(astronaut: Pixels, interpolation: str, flag: int) -> None:
    face = astronaut[60:190, 160:290]
    geometry = CropGeometry.model_validate({"interpolation": interpolation})
    expected = cv2.resize(face, (224, 224), interpolation=flag)
    assert difference(crop(face, square_over(130, 130), 224, geometry), expected.astype(np.uint8)) < 0.6


@pytest.mark.parametrize("side", [96, 240, 300, 333, 480])
@pytest.mark.parametrize("pattern", ["columns", "rows", "checkers"])
def test_patterns_finer_than_the_crop_average_to_grey(pattern: str, side: int) -> None:
    row, column = np.indices((side, side))
    bright = {"columns": column, "rows": row, "checkers": row + column}[pattern] % 2
    pixels = np.repeat(bright[..., None] * 255, 3, axis=2).astype(np.uint8)
    cut = crop(pixels, square_over(side, side), 48, PLAIN).astype(int)
    assert abs(cut[1:-1, 1:-1] - 127).max() <= 45
    assert cut.mean() == pytest.approx(127.5, abs=2)


@pytest.mark.parametrize("factor", [2, 3, 10])
def test_shrinking_by_a_whole_factor_averages_areas(astronaut: Pixels, factor: int) -> None:
    side = 48 * factor
    pixels = astronaut[:side, :side]
    expected = cv2.resize(pixels, (48, 48), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(crop(pixels, square_over(side, side), 48, PLAIN), expected)


@pytest.mark.parametrize("degrees", [-40, -10, 5, 30, 90])
def test_a_rotated_square_undoes_the_rotation(astronaut: Pixels, degrees: float) -> None:
    # OpenCV's angles run counter-clockwise.
    turn = cv2.getRotationMatrix2D((FACE.x - 0.5, FACE.y - 0.5), -degrees, 1.0)
    turned = cv2.warpAffine(astronaut, turn, (512, 512), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    upright = crop(astronaut, FACE, 64, PLAIN)
    again = crop(turned.astype(np.uint8), Square(FACE.x, FACE.y, FACE.side, math.radians(degrees)), 64, PLAIN)
    assert difference(again, upright) < 3
    assert difference(crop(turned.astype(np.uint8), FACE, 64, PLAIN), upright) > 5


def test_the_border_is_repeated_beyond_the_edge() -> None:
    pixels = noise(40, 40)
    cut = crop(pixels, Square(x=0, y=20, side=40), 40, PLAIN)
    np.testing.assert_array_equal(cut[:, 20:], pixels[:, :20])
    np.testing.assert_array_equal(cut[:, :20], np.repeat(pixels[:, :1], 20, axis=1))


def test_the_border_is_black_if_the_bundle_says_so() -> None:
    pixels = np.full((40, 40, 3), 200, np.uint8)
    cut = crop(pixels, Square(x=40, y=40, side=40), 40, CropGeometry(border="black"))
    assert (cut[:20, :20] == 200).all()
    assert not cut[20:].any()
    assert not cut[:, 20:].any()


@pytest.mark.parametrize(("border", "level"), [("replicate", 200), ("black", 0)])
@pytest.mark.parametrize(("x", "y"), [(-500, 20), (20, -500), (900, 900)])
def test_a_square_that_misses_the_image_shows_the_border(border: str, level: int, x: float, y: float) -> None:
    pixels = np.full((40, 40, 3), 200, np.uint8)
    cut = crop(pixels, Square(x, y, 100), 24, CropGeometry.model_validate({"border": border}))
    assert cut.shape == (24, 24, 3)
    assert (cut == level).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1)])
def test_the_thinnest_images_have_crops(shape: tuple[int, int]) -> None:
    pixels = np.full((*shape, 3), 90, np.uint8)
    assert (crop(pixels, square_over(shape[1], shape[0]), 48, PLAIN) == 90).all()


def test_a_wide_image_is_padded_to_a_square_by_its_border() -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[0], pixels[-1] = 50, 250
    cut = crop(pixels, square_over(60, 20), 60, PLAIN)
    assert (cut[:20] == 50).all()
    assert (cut[40:] == 250).all()


@pytest.mark.parametrize(("frame", "frame_scale", "side"), [(1.0, 1.0, 80), (1.5, 1.0, 120), (1.25, 1.02, 102)])
def test_the_square_is_centred_on_the_box_and_scales_with_its_height(
    frame: float, frame_scale: float, side: float
) -> None:
    square = square_around(Box(10, 20, 60, 80), None, CropGeometry(frame=frame), frame_scale)
    assert (square.x, square.y, square.angle) == (40, 60, 0)
    assert square.side == pytest.approx(side)


@pytest.mark.parametrize("degrees", [0, 45, -45, 80, 135, 180, -90])
def test_alignment_turns_the_square_as_the_landmarks_are_turned(degrees: float) -> None:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    upright = ((-15.0, -15.0), (15.0, -15.0), (0.0, 0.0), (-10.0, 15.0), (10.0, 15.0))
    landmarks = tuple((40 + x * cos - y * sin, 40 + x * sin + y * cos) for x, y in upright)
    square = square_around(Box(0, 0, 80, 80), landmarks, CropGeometry(align=True), 1.0)
    assert math.degrees(square.angle) == pytest.approx(degrees)
    assert square_around(Box(0, 0, 80, 80), landmarks, CropGeometry(align=False), 1.0).angle == 0


def test_landmarks_without_a_direction_leave_the_square_as_the_face_is_turned() -> None:
    square = square_around(Box(0, 0, 80, 80), ((40.0, 40.0),) * 5, CropGeometry(align=True), 1.0, 90)
    assert square.angle == pytest.approx(math.radians(90))


@pytest.mark.parametrize(("roll", "side"), [(0, 80), (90, 60), (180, 80), (-90, 60)])
def test_the_square_of_a_turned_face_turns_with_it(roll: int, side: float) -> None:
    square = square_around(Box(10, 20, 60, 80), None, PLAIN, 1.0, roll)
    assert (square.x, square.y, square.side) == (40, 60, side)
    assert square.angle == pytest.approx(math.radians(roll))


@pytest.mark.parametrize(("roll", "turns"), [(90, 1), (180, 2), (-90, 3)])
@pytest.mark.parametrize("side", [60, 200])
def test_the_crop_of_a_turned_face_is_upright(roll: int, turns: int, side: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    pixels = cv2.GaussianBlur(noise, (0, 0), 8).astype(np.uint8)
    turned = crop(pixels, Square(150, 150, side, math.radians(roll)), 50, PLAIN)
    upright = crop(np.ascontiguousarray(np.rot90(pixels, turns)), Square(150, 150, side), 50, PLAIN)
    assert np.abs(turned.astype(int) - upright).max() <= 1


def test_alignment_without_landmarks_leaves_the_square_upright() -> None:
    assert square_around(Box(0, 0, 80, 80), None, CropGeometry(align=True), 1.0).angle == 0
