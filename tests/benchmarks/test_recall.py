from pathlib import Path

import numpy as np
import pytest
from fer_benchmarks.recall import photographs


def test_what_is_no_photograph_is_named_and_left_out(
    tmp_path: Path, astronaut_jpeg: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "photo.jpg").write_bytes(astronaut_jpeg)
    (image,) = photographs(tmp_path)
    assert image.shape == (512, 512, 3)
    assert image.dtype == np.uint8
    said = capsys.readouterr().err.splitlines()
    assert [line.split(": left out: ")[0] for line in said] == [str(tmp_path / n) for n in ("folder", "notes.txt")]
