import math

import cv2
import numpy as np
import pytest
from fer_service.analysis.quality import MODEL, measure, pose_of
from fer_service.contract.boxes import Box, LandmarkPoints
from fer_service.contract.reasons import MIN_SHARPNESS, flags_of
from fer_service.detection.detector import Face

from tests.service.conftest import Pixels

WIDTH, HEIGHT = 640, 480
BOX = Box(10, 10, 100, 120)


def seen(yaw: float, pitch: float, roll: float, distance: float = 20.0) -> LandmarkPoints:
    """The model's points as a camera sees them, `distance` face widths away."""
    y, p, r = map(math.radians, (-yaw, -pitch, roll))
    turn_x = np.array([[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]])
    turn_y = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    turn_z = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    points = MODEL @ (turn_z @ turn_y @ turn_x).T
    depth = 1 + points[:, 2] / (distance * 140)
    return tuple((300 + x / z, 200 + y / z) for (x, y, _), z in zip(points.tolist(), depth.tolist(), strict=True))


@pytest.mark.parametrize("roll", [0, 20, 90, 170, -90])
@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (40, 0), (-40, 0), (0, 25), (0, -25), (30, 20), (-70, 5)])
def test_the_pose_of_a_turned_head_is_found(yaw: float, pitch: float, roll: float) -> None:
    pose = pose_of(seen(yaw, pitch, roll))
    assert pose is not None
    assert (pose.yaw, pose.pitch) == (pytest.approx(yaw, abs=2), pytest.approx(pitch, abs=2))
    assert math.cos(math.radians(pose.roll - roll)) > math.cos(math.radians(2))


def test_a_face_that_looks_to_the_right_in_the_image_has_a_positive_yaw() -> None:
    points = ((100.0, 100.0), (140.0, 100.0), (135.0, 125.0), (105.0, 145.0), (138.0, 145.0))
    pose = pose_of(points)
    assert pose is not None
    assert pose.yaw > 20


def test_a_near_camera_changes_the_pose_little() -> None:
    pose = pose_of(seen(30, 10, 0, distance=3))
    assert pose is not None
    assert (pose.yaw, pose.pitch) == (pytest.approx(30, abs=7), pytest.approx(10, abs=7))


@pytest.mark.parametrize(
    "points", [((5.0, 5.0),) * 5, tuple((float(n), 0.0) for n in range(5)), tuple((0.0, 0.0) for _ in range(5))]
)
def test_points_that_show_no_face_have_no_pose_or_a_finite_one(points: LandmarkPoints) -> None:
    pose = pose_of(points)
    assert pose is None or all(math.isfinite(value) for value in (pose.yaw, pose.pitch, pose.roll))


@pytest.fixture
def crop(astronaut: Pixels) -> Pixels:
    return cv2.resize(astronaut[66:176, 170:280], (48, 48), interpolation=cv2.INTER_AREA).astype(np.uint8)


def flags(crop: Pixels, box: Box = BOX, landmarks: LandmarkPoints | None = None) -> list[str]:
    return [*flags_of(measure(Face(box, landmarks=landmarks), crop, WIDTH, HEIGHT))]


def test_a_good_face_has_no_flag(crop: Pixels) -> None:
    assert flags(crop, landmarks=seen(0, 0, 0)) == []


@pytest.mark.parametrize(
    ("box", "found"),
    [
        (Box(10, 10, 24, 30), []),
        (Box(10, 10, 23, 30), ["small"]),
        (Box(-50, 10, 100, 100), ["cut"]),
        (Box(-20, 10, 100, 100), []),
        (Box(10, 440, 100, 100), ["cut"]),
        (Box(-5, 10, 100, 100), []),
        (Box(-5000, -5000, 10_000, 10_000), ["cut"]),
    ],
)
def test_small_and_cut_are_told_from_the_box(crop: Pixels, box: Box, found: list[str]) -> None:
    assert flags(crop, box) == found


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        (lambda crop: cv2.GaussianBlur(crop, (0, 0), 2.5), "blurred"),
        (lambda crop: crop // 20, "dark"),
        (lambda crop: (crop * 3.0).clip(0, 255).astype(np.uint8), "bright"),
    ],
)
def test_blurred_dark_and_bright_are_told_from_the_pixels(crop: Pixels, change: object, flag: str) -> None:
    assert callable(change)
    assert flags(change(crop)) == [flag]


@pytest.mark.parametrize(
    ("pose", "turned"),
    [((0, 0, 10), False), ((45, 0, 0), True), ((0, -40, 0), True), ((0, 0, 35), True), ((0, 0, 92), False)],
)
def test_turned_heads_are_told_from_the_landmarks(
    crop: Pixels, pose: tuple[float, float, float], turned: bool
) -> None:
    assert ("turned" in flags(crop, landmarks=seen(*pose))) is turned


def test_sharpness_depends_on_blur_and_neither_on_light_nor_on_the_models_input(crop: Pixels) -> None:
    def sharpness(pixels: Pixels) -> float:
        return measure(Face(Box(0, 0, 90, 90)), pixels, WIDTH, HEIGHT).sharpness

    assert sharpness(crop // 3) == pytest.approx(sharpness(crop), rel=0.1)
    large = cv2.resize(crop, (96, 96), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    assert sharpness(large) == pytest.approx(sharpness(crop), rel=0.05)
    softer = [sharpness(cv2.GaussianBlur(crop, (0, 0), sigma).astype(np.uint8)) for sigma in (0.5, 1, 2)]
    assert sharpness(crop) > softer[0] > softer[1] > MIN_SHARPNESS > softer[2]


@pytest.mark.parametrize("level", [0, 255])
def test_a_plain_crop_has_a_quality(level: int) -> None:
    quality = measure(Face(Box(0, 0, 50, 40)), np.full((48, 48, 3), level, np.uint8), WIDTH, HEIGHT)
    assert (quality.size, quality.sharpness, quality.exposure) == (40, 0, level / 255)
    assert (quality.clipped, quality.pose, quality.cut) == (level == 255, None, 0)
