from pathlib import Path

import numpy as np
import pytest
from fer_benchmarks.recall import count_hits, face_scene, read_images
from fer_service.contract.boxes import Box
from fer_service.detection.detector import Face


def test_unreadable_files_are_named_and_skipped(
    tmp_path: Path, astronaut_jpeg: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "photo.jpg").write_bytes(astronaut_jpeg)
    (image,) = read_images(tmp_path)
    assert image.shape == (512, 512, 3)
    assert image.dtype == np.uint8
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": skipped: ")[0] for line in lines] == [
        str(tmp_path / name) for name in ("folder", "notes.txt")
    ]


@pytest.mark.parametrize(
    ("box", "hits"),
    [
        pytest.param(Box(80, 50, 40, 60), 1, id="same place and size"),
        pytest.param(Box(115, 50, 40, 60), 0, id="centre too far right"),
        pytest.param(Box(80, 85, 40, 60), 0, id="centre too far down"),
        pytest.param(Box(90, 68, 20, 24), 0, id="too small"),
        pytest.param(Box(50, 15, 100, 130), 0, id="too large"),
    ],
)
def test_a_hit_has_about_the_place_and_size_of_a_face(box: Box, hits: int) -> None:
    scene = face_scene("", [(100, 80), (400, 300)], 60)
    assert count_hits([Face(box), Face(box)], scene) == hits
