from pathlib import Path

import cv2
import numpy as np
import pytest
from fer_benchmarks import quality
from fer_benchmarks.quality import Answered, answer, crop_changes, cut, rows, small, whole
from fer_service.analysis.analyzer import Analyzer

from tests.fakes import FakeClassifier, FakeDetector


def test_a_row_counts_the_faces_of_a_flag_and_a_face_may_have_several() -> None:
    faces = [
        Answered(True, False, ()),
        Answered(False, True, ()),
        Answered(True, False, ("small",)),
        Answered(False, False, ("small", "blurred")),
        Answered(False, True, ("blurred",)),
    ]
    found = {row[0]: row[1:] for row in rows(faces)}
    assert list(found) == ["none", "blurred", "small"]
    assert (found["none"][0], found["none"][2]) == ("2", "50%")
    assert found["none"][3].startswith("1 of 1, 100%")
    assert found["small"][1].startswith("1 of 2, 50%")
    assert found["blurred"][1].startswith("0 of 2, 0%")


def test_faces_without_a_certain_answer_have_no_accuracy_of_them() -> None:
    assert rows([Answered(False, True, ("dark",))]) == [("dark", "1", "0 of 1, 0% (0%–79%)", "100%", "")]


def test_changes_raise_their_flags() -> None:
    line = Analyzer(FakeDetector(), FakeClassifier())
    green = np.zeros((48, 48, 3), np.uint8)
    green[..., 1] = np.random.default_rng(0).integers(0, 200, (48, 48))
    assert answer(line, whole(green), "happy") == Answered(True, False, ())
    for scene, flag in ((small(20)(green), "small"), (cut(0.4)(green), "cut")):
        found = answer(line, scene, "happy")
        assert found is not None
        assert flag in found.flags
    assert answer(line, crop_changes()["found in a larger image"](green), "happy") is None


def test_the_program_prints_a_table_for_photos(
    tmp_path: Path,
    astronaut_jpeg: bytes,
    tiny_bundle: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "smile").mkdir()
    (tmp_path / "smile" / "a.jpg").write_bytes(astronaut_jpeg)
    options = ["--data", str(tmp_path), "--map", "smile=happy", "--model", str(tiny_bundle), "--detector", "own"]
    monkeypatch.setattr("sys.argv", ["quality", *options, "--found"])
    quality.main()
    printed = capsys.readouterr().out
    assert "as they are" in printed
    assert "levels × 0.1" in printed
    cv2.setNumThreads(-1)
