import json
from pathlib import Path

import pytest
from fer_service.detection.landmarks import read_landmark_metadata
from fer_service.onnx.session import Session
from fer_training.errors import DataError, RecipeError, RunError
from fer_training.tasks.landmarks.card import landmark_card_text

from tests.training.commands import run_command
from tests.training.tasks.landmarks.made import make_points, make_tiles, write_images

pytestmark = pytest.mark.trains


def test_from_labelled_faces_to_a_file_that_finds_them(inputs: Path, exported: Path) -> None:
    about = read_landmark_metadata(Session.open(exported, device="cpu", threads=1), str(exported))
    assert about.images == (480, 110)  # of 120; the others have no landmarks
    assert about.distance < 0.05
    assert about.turned_distance < 0.06
    assert about.roll < 5
    assert about.parity < 1e-5
    assert "mean distance" in exported.with_name("export.txt").read_text(encoding="utf-8")
    assert exported.with_suffix(".md").read_text(encoding="utf-8") == landmark_card_text(about)


def test_the_file_is_evaluated_with_its_own_figures(inputs: Path, exported: Path) -> None:
    words = ["--model", exported, "--data", inputs / "faces.parquet", "--landmarks", inputs / "landmarks.csv"]
    about = read_landmark_metadata(Session.open(exported, device="cpu", threads=1), str(exported))
    answer = json.loads(run_command("evaluate", *words, "--json"))
    assert answer["images"] == about.images[1]
    assert answer["upright"]["distance"] == pytest.approx(about.distance, abs=1e-4)
    assert answer["turned"]["roll"] == pytest.approx(about.turned_roll, abs=0.01)
    assert "rotated by 30°: mean distance" in run_command("evaluate", *words)


def test_the_report_has_curves(exported: Path) -> None:
    assert "curves.png" in run_command("report", exported.with_name("run")).replace("\n", "")


def test_the_landmarks_are_required(inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--landmarks"):
        run_command("train", inputs / "tiny.yaml", "--data", inputs / "faces.parquet", "--out", tmp_path / "run")


def test_other_recipes_refuse_landmarks(inputs: Path, tmp_path: Path) -> None:
    words = ["--data", inputs / "faces.parquet", "--landmarks", inputs / "landmarks.csv"]
    with pytest.raises(RecipeError, match="--landmarks does not apply"):
        run_command("train", "fer-resnet18", *words, "--out", tmp_path / "run")


def test_other_images_than_those_of_the_run_are_refused(exported: Path, tmp_path: Path) -> None:
    write_images(make_tiles(make_points(600))[:590], tmp_path / "other.parquet")
    with pytest.raises(RunError, match="differs from the data"):
        run_command(
            "export", exported.with_name("run"), "--out", tmp_path / "a.onnx", "--data", tmp_path / "other.parquet"
        )
