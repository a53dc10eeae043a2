import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from fer_benchmarks import crop_frame
from fer_service.contract.boxes import Box
from fer_service.detection.detector import Face
from numpy.typing import NDArray

from tests.fakes import FakeDetector
from tests.training.synthetic import make_faces, write_parquet


def test_the_frame_of_the_data_is_compared_with_the_boxes(capsys: pytest.CaptureFixture[str]) -> None:
    side, middle = crop_frame.FACE_SIDE, crop_frame.IMAGE_SIDE / 2
    to_the_right = Box(middle - side / 4 + 0.1 * side, middle - side / 4, side / 2, side / 2)
    crop_frame.report_geometry(FakeDetector(), [Face(to_the_right), None])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "fake: 1 of 2 faces found (50.0%)"
    assert [line.partition("median ")[2].split()[0] for line in printed[1:]] == ["2.000", "0.100", "0.000"]


def test_the_accuracy_is_printed_for_every_frame_and_rotation(
    tmp_path: Path,
    astronaut: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    faces = make_faces()
    tile = cv2.resize(cv2.cvtColor(astronaut[60:200, 155:295], cv2.COLOR_RGB2GRAY), (48, 48))
    faces.images[:] = tile[..., None]
    faces.labels[:] = faces.classes.index("happy")
    write_parquet(faces, tmp_path / "faces.parquet")
    words = ["--data", str(tmp_path / "faces.parquet"), "--detector", "own", "--limit", "4"]
    monkeypatch.setattr(sys, "argv", ["crop_frame", *words])
    crop_frame.main()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith(": 4 of 4 faces found (100.0%)")
    assert "crop as published: 100.00% of the found faces, 100.00% of all" in printed
    frames = dict(line.removeprefix("crop of ").split(" × box height: ") for line in printed if "× box" in line)
    assert [*frames] == [f"{frame:.2f}" for frame in crop_frame.FRAMES]
    assert frames["1.00"] == "100.00%"
    turned = [line for line in printed if line.startswith("rotated by ")]
    assert len(turned) == len(crop_frame.TURNS)
    assert all("4 found" in line and "100.00% aligned" in line for line in turned)
