import json
import math
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from fer_service import assets
from fer_service.contract.boxes import Box, LandmarkPoints, roll_of
from fer_service.contract.errors import DetectorError
from fer_service.detection.detector import Face
from fer_service.detection.landmarks import METADATA_KEY, LandmarkFinder, open_landmarks
from numpy.typing import NDArray

FRAME_SCALE = 1.15
BOX = Box(176, 76, 92, 105)
# Seen in the photograph, in pixels.
POINTS = ((205, 102), (247, 103), (224, 126), (202, 138), (247, 139))
NEAR = 0.05 * BOX.height


@pytest.fixture(scope="module")
def finder() -> LandmarkFinder:
    return open_landmarks(assets.LANDMARKS)


def distances(face: Face, points: LandmarkPoints) -> NDArray[np.float64]:
    assert face.landmarks is not None
    apart: NDArray[np.float64] = np.linalg.norm(np.array(face.landmarks) - np.array(points), axis=1)
    return apart


def test_the_points_lie_where_they_are_seen(finder: LandmarkFinder, astronaut: NDArray[np.uint8]) -> None:
    (face,) = finder.find(astronaut, [Face(BOX, 0.9)], FRAME_SCALE)
    assert distances(face, POINTS).max() < NEAR
    assert (face.box, face.score, face.roll) == (BOX, 0.9, 0)


@pytest.mark.parametrize("degrees", [-40, -20, 20, 40])
def test_points_of_a_tilted_face_are_found(
    finder: LandmarkFinder, astronaut: NDArray[np.uint8], degrees: int
) -> None:
    turn = cv2.getRotationMatrix2D(BOX.center, -degrees, 1.0)
    turned = cv2.warpAffine(astronaut, turn, (512, 512)).astype(np.uint8)
    (face,) = finder.find(turned, [Face(BOX)], FRAME_SCALE)
    moved = cv2.transform(np.array([POINTS], np.float64), turn)[0]
    assert distances(face, tuple(map(tuple, moved.tolist()))).mean() < NEAR
    assert face.landmarks is not None
    assert roll_of(face.landmarks) == pytest.approx(degrees, abs=8)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_face_turned_by_right_angles_has_the_same_points(
    finder: LandmarkFinder, astronaut: NDArray[np.uint8], turns: int
) -> None:
    (upright,) = finder.find(astronaut, [Face(BOX)], FRAME_SCALE)
    assert upright.landmarks is not None
    box, points = BOX, upright.landmarks
    for _ in range(turns):  # clockwise, in an image of 512×512
        box = Box(512 - box.y - box.height, box.x, box.height, box.width)
        points = tuple((512 - y, x) for x, y in points)
    turned = np.ascontiguousarray(np.rot90(astronaut, -turns))
    (face,) = finder.find(turned, [Face(box, roll=(turns + 1) % 4 * 90 - 90)], FRAME_SCALE)
    assert distances(face, points).max() < 1


@pytest.mark.parametrize("roll", [90, 180, -90])
def test_a_face_that_was_found_in_the_wrong_orientation_is_turned_right(
    finder: LandmarkFinder, astronaut: NDArray[np.uint8], roll: int
) -> None:
    square = Box(BOX.x - 6, BOX.y, BOX.height, BOX.height)
    (face,) = finder.find(astronaut, [Face(square, roll=roll)], FRAME_SCALE)
    assert distances(face, POINTS).max() < NEAR
    assert face.landmarks is not None
    assert roll_of(face.landmarks) == pytest.approx(1.4, abs=5)


def test_points_of_the_mirror_image_are_mirrored(finder: LandmarkFinder, astronaut: NDArray[np.uint8]) -> None:
    (face,) = finder.find(astronaut, [Face(BOX)], FRAME_SCALE)
    turned = np.ascontiguousarray(astronaut[:, ::-1])
    (mirrored,) = finder.find(turned, [Face(Box(512 - BOX.x - BOX.width, *BOX[1:]))], FRAME_SCALE)
    assert face.landmarks is not None
    swapped = tuple((512 - face.landmarks[number][0], face.landmarks[number][1]) for number in (1, 0, 2, 4, 3))
    assert distances(mirrored, swapped).max() < 1


def test_a_large_face_has_the_points_of_a_small_one(finder: LandmarkFinder, astronaut: NDArray[np.uint8]) -> None:
    large = cv2.resize(astronaut, None, fx=6, fy=6, interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    (face,) = finder.find(large, [Face(BOX.scaled(6, 6))], FRAME_SCALE)
    assert distances(face, tuple((x * 6, y * 6) for x, y in POINTS)).max() < 6 * NEAR


def test_more_faces_than_fit_in_one_run_have_the_same_points(
    finder: LandmarkFinder, astronaut: NDArray[np.uint8]
) -> None:
    (alone,) = finder.find(astronaut, [Face(BOX)], FRAME_SCALE)
    assert alone.landmarks is not None
    faces = finder.find(astronaut, [Face(BOX)] * 150, FRAME_SCALE)
    assert len(faces) == 150
    assert max(distances(face, alone.landmarks).max() for face in faces) < 0.1


def test_several_faces_keep_their_order_and_none_is_no_run(
    finder: LandmarkFinder, astronaut: NDArray[np.uint8]
) -> None:
    twice = np.concatenate([astronaut, np.zeros_like(astronaut)], axis=1)
    right = Face(Box(BOX.x + 512, BOX.y, BOX.width, BOX.height))
    dark, face = finder.find(twice, [right, Face(BOX)], FRAME_SCALE)
    assert distances(face, POINTS).max() < NEAR
    assert dark.landmarks is not None
    assert all(math.isfinite(value) for point in dark.landmarks for value in point)
    assert finder.find(twice, [], FRAME_SCALE) == []


def test_a_missing_file_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="fer-train export"):
        open_landmarks(tmp_path / "nowhere.onnx")


def test_a_detector_is_not_a_landmark_file() -> None:
    with pytest.raises(DetectorError, match=r"detector\.onnx: not a landmark file .* 'fer-landmarks'"):
        open_landmarks(assets.DETECTOR)


def test_invalid_metadata_is_an_error_that_names_the_field(tmp_path: Path) -> None:
    model = onnx.load(assets.LANDMARKS)
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = json.dumps(json.loads(entry.value) | {"size": 4800})
    onnx.save(model, tmp_path / "bad.onnx")
    with pytest.raises(
        DetectorError, match=r"bad\.onnx: metadata property 'fer-landmarks': size: must be at most 256"
    ):
        open_landmarks(tmp_path / "bad.onnx")
