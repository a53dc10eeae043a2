import json
import shutil
from pathlib import Path

import pytest
import yaml
from fer_service.detection.landmarks import read_landmark_metadata
from fer_service.onnx.session import Session
from fer_training.engine.recipe import read_recipe, validate_recipe
from fer_training.errors import DataError, RecipeError, RunError
from fer_training.tasks.landmarks.card import landmark_card_text
from fer_training.tasks.landmarks.network import LandmarkNetwork
from fer_training.tasks.landmarks.recipe import LandmarkRecipe

from tests.training.commands import run_command
from tests.training.tasks.landmarks.made import make_points, make_tiles, write_images, write_landmarks

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


def test_the_shipped_recipe_is_listed_and_valid() -> None:
    assert "landmarks: Five landmarks" in run_command("recipes")
    recipe = validate_recipe(LandmarkRecipe, *read_recipe("landmarks"))
    assert sum(weights.numel() for weights in LandmarkNetwork(recipe.widths).parameters()) < 60_000


def test_the_landmarks_are_required(inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--landmarks"):
        run_command("train", inputs / "tiny.yaml", "--data", inputs / "faces.parquet", "--out", tmp_path / "run")


def test_other_recipes_refuse_landmarks(inputs: Path, tmp_path: Path) -> None:
    words = ["--data", inputs / "faces.parquet", "--landmarks", inputs / "landmarks.csv"]
    with pytest.raises(RecipeError, match="--landmarks does not apply"):
        run_command("train", "fer-resnet18", *words, "--out", tmp_path / "run")


def test_other_data_than_that_of_the_run_is_refused(inputs: Path, exported: Path, tmp_path: Path) -> None:
    points = make_points(600)
    tiles = make_tiles(points)
    write_images(tiles[:590], tmp_path / "other.parquet")
    write_landmarks(tiles[:580], points[:580], tmp_path / "other.csv")
    export = ["export", exported.with_name("run"), "--out", tmp_path / "a.onnx"]
    with pytest.raises(RunError, match="differs from the data"):
        run_command(*export, "--data", tmp_path / "other.parquet")
    with pytest.raises(RunError, match="differs from the data"):
        run_command(*export, "--landmarks", tmp_path / "other.csv")
    train = ["train", inputs / "tiny.yaml", "--data", inputs / "faces.parquet", "--out", exported.with_name("run")]
    with pytest.raises(RunError, match="data"):
        run_command(*train, "--landmarks", tmp_path / "other.csv", "--resume", "--device", "cpu")


def test_data_that_has_moved_is_named_for_the_export(inputs: Path, exported: Path, tmp_path: Path) -> None:
    moved = shutil.copy(inputs / "landmarks.csv", tmp_path / "moved.csv")
    run_command("export", exported.with_name("run"), "--out", tmp_path / "a.onnx", "--landmarks", moved)
    assert read_landmark_metadata(Session.open(tmp_path / "a.onnx", device="cpu", threads=1), "a").images == (
        480,
        110,
    )


@pytest.mark.parametrize(
    "change", [{"widths": [16, 1, 8, 8]}, {"near": float("inf")}, {"changes": {"scale": 400}}]
)
def test_settings_without_sense_are_named(inputs: Path, tmp_path: Path, change: dict[str, object]) -> None:
    content = yaml.safe_load((inputs / "tiny.yaml").read_text()) | change
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(content))
    words = ["--data", inputs / "faces.parquet", "--landmarks", inputs / "landmarks.csv"]
    with pytest.raises(RecipeError, match=next(iter(change))):
        run_command("train", tmp_path / "bad.yaml", *words, "--out", tmp_path / "run")
