import sys
from pathlib import Path

import numpy as np
import pytest
from fer_benchmarks import scales
from fer_service.contract.boxes import Box
from fer_service.detection.detector import Face
from fer_training.tasks.detection.photographs import Photograph
from numpy.typing import NDArray

from tests.conftest import encode_image
from tests.fakes import FakeDetector
from tests.training.tasks.detection.made import photograph, write_photographs

Pixels = NDArray[np.uint8]
FACE = Face(Box(10, 10, 20, 20), 0.9)


def test_the_squares_show_the_face_at_every_size_and_share(astronaut: Pixels) -> None:
    sides = [square.shape for square in scales.squares_around_the_face(astronaut)]
    assert sides == [(side, side, 3) for side in scales.SQUARES] * len(scales.SHARES)


@pytest.mark.parametrize(
    ("faces", "place"),
    [pytest.param([], 0, id="none"), pytest.param([FACE], 1, id="one"), pytest.param([FACE] * 3, 2, id="several")],
)
def test_squares_are_counted_by_their_number_of_boxes(astronaut: Pixels, faces: list[Face], place: int) -> None:
    counts = scales.boxes_of_squares(FakeDetector(*faces), [astronaut])
    assert counts[place] == sum(counts) == len(scales.SQUARES) * len(scales.SHARES)


def test_a_close_up_keeps_its_largest_face_and_the_places_of_all() -> None:
    photo = photograph(1)
    close = scales.close_up(photo, np.random.default_rng(0))
    assert max(close.pixels.shape) == 640
    heights = close.boxes[:, 3] - close.boxes[:, 1]
    assert 80 <= heights.max() <= 320 + 1e-3
    assert len(close.boxes) == len(close.bare) <= len(photo.boxes)
    assert (close.boxes >= 0).all()


def test_a_small_face_is_added_away_from_the_only_face_and_counts_alone() -> None:
    blank = np.full((480, 640, 3), 100, np.uint8)
    at_the_corner = np.array([[20, 20, 120, 140]], np.float32)
    photo = Photograph("a", blank, at_the_corner, np.ones(1, bool))
    (made,) = scales.with_small_face([photo, photograph(2)], 48)
    left, top, right, bottom = made.boxes[0]
    assert (left + right, top + bottom) == (2 * (640 - 60), 2 * 60)
    assert bottom - top == 48
    changed = (made.pixels != blank).any(axis=2)
    rows, columns = changed.nonzero()
    assert changed.any()
    assert abs(columns - 580).max() <= 48
    assert abs(rows - 60).max() <= 48


def test_the_tables_are_printed(
    tmp_path: Path, astronaut: Pixels, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photographs(tmp_path / "data", tuple(photograph(number, 1) for number in range(4)))
    (tmp_path / "portraits").mkdir()
    (tmp_path / "portraits/a.png").write_bytes(encode_image(astronaut[:256, 96:352], ".png"))
    monkeypatch.setattr(scales, "_SECONDS", 1e-6)
    monkeypatch.setattr(scales, "SMALL", (48,))
    words = ["--data", str(tmp_path / "data"), "--portraits", str(tmp_path / "portraits")]
    monkeypatch.setattr(sys, "argv", ["scales", *words, "--detector", "own", "--hold-out", "0.5"])
    scales.main()
    lines = [line.split("│") for line in capsys.readouterr().out.splitlines() if "│" in line]
    rows = [[cell.strip() for cell in line[1:-1]] for line in lines]
    assert [row[2] for row in rows if row[0] == "whole"] == ["full", "all", "coarse first"]
    assert {row[0] for row in rows} >= {"whole", "close-up"}
    squares = [[int(cell) for cell in row[2:]] for row in rows if len(row) == 6 and row[1] != "scales"]
    assert [sum(row[1:]) for row in squares] == [row[0] for row in squares] == [45] * 3
    none, one, several = squares[-1][1:]
    assert one >= 43, (none, several)
