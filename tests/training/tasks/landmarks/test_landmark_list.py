from pathlib import Path

import numpy as np
import pytest
from fer_training.errors import DataError
from fer_training.tasks.landmarks.landmark_list import read_landmarks

from tests.training.tasks.landmarks.made import make_points, make_tiles, write_landmarks

POINTS = make_points(4)
TILES = make_tiles(POINTS)


def test_faces_get_their_landmarks_and_others_none(tmp_path: Path) -> None:
    write_landmarks(TILES[1:][::-1], POINTS[1:][::-1], tmp_path / "a.csv")
    read = read_landmarks(tmp_path / "a.csv", TILES)
    np.testing.assert_allclose(read[1:], POINTS[1:], atol=1e-6)
    assert np.isnan(read[0]).all()


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_landmarks(TILES, POINTS, path)
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert np.isfinite(read_landmarks(path, TILES)).all()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("image,right_eye_x\n", "missing column right_eye_y, left_eye_x"),
        ("", "missing column image"),
        ("wide", "not ten numbers"),
        ("short", "not ten numbers"),
        (
            "other",
            "has landmarks for none of the 4 faces. tools/label_landmarks.py labels grey images of 48×48",
        ),
        ("far", "are not pixels of a 48×48 image"),
        ("nothing", "are not pixels of a 48×48 image"),
        ("fractions", "are not pixels of a 48×48 image"),
    ],
)
def test_an_invalid_file_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "a.csv"
    write_landmarks(TILES, POINTS, path)
    header, first, *_ = path.read_text().splitlines()
    image, *numbers = first.split(",")
    rows = {
        "wide": [image, *numbers[1:], "wide"],
        "short": [image, *numbers[1:]],
        "other": ["0" * 64, *numbers],
        "far": [image, *numbers[1:], "1e30"],
        "nothing": [image, *numbers[1:], "nan"],
        "fractions": [image, *["0.5"] * 10],
    }
    path.write_text(f"{header}\n{','.join(rows[text])}\n" if text in rows else text)
    with pytest.raises(DataError, match=problem):
        read_landmarks(path, TILES)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*a\.csv"):
        read_landmarks(tmp_path / "a.csv", TILES)
