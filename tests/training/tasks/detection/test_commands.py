import shutil
from pathlib import Path

import pytest
from fer_service.detection.own import DetectorMetadata
from fer_training.data import FaceDataset
from fer_training.engine.run_folder import RunFolder
from fer_training.errors import DataError, RecipeError
from fer_training.tasks.detection import comparison
from fer_training.tasks.detection.assets import read_assets
from fer_training.tasks.detection.scenes.negatives import HELD_OUT_NEGATIVES

from tests.training.commands import run_command
from tests.training.tasks.detection.made import make_recipe

PARTS = {"report.html", "figures", "metrics.jsonl", "last.ckpt", "recipe.yaml", "environment.json"}


def test_from_photographs_to_a_measured_file_by_four_commands(
    detection_data: Path,
    detector_run: RunFolder,
    exported: tuple[Path, DetectorMetadata],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(comparison, "_SECONDS", 0.1)  # of timing per detector and size
    run = shutil.copytree(detector_run.path, tmp_path / "run")
    assert str(run / "report.html") in run_command("report", run).replace("\n", "")
    assert {path.name for path in run.iterdir()} >= PARTS
    figures = {path.name for path in (run / "figures").iterdir()}
    assert figures == {"curves.png", "precision_recall.png", "missed.png", "false_boxes.png", "scenes.png"}
    assert "AP50" in exported[0].with_name("export.txt").read_text(encoding="utf-8")
    compared = run_command(
        "evaluate",
        "--model",
        exported[0],
        "--data",
        detection_data / "photos",
        "--split",
        "held-out",
        "--compare-with",
        "haar",
    )
    assert "tiny" in compared
    assert "haar" in compared
    assert "bare 24–48" in compared


def test_a_detector_starts_from_an_exported_one(
    exported: tuple[Path, DetectorMetadata], train_words: tuple[object, ...], tmp_path: Path
) -> None:
    run_command(*train_words, "--init", exported[0], "--epochs", "1", "--limit", "8", "--out", tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    assert run.environment()["pretrained"]["path"] == str(exported[0].absolute())
    assert run.metrics()[0]["val_ap50"] > 0.2  # after a few steps; with random weights it is 0


def test_a_detector_needs_faces_to_paste(detection_data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--faces"):
        run_command("train", detection_data / "tiny.yaml", "--data", detection_data / "photos", "--out", tmp_path)


@pytest.mark.parametrize("option", ["--from-scratch", "--strict"])
def test_options_of_the_other_networks_are_refused(
    train_words: tuple[object, ...], tmp_path: Path, option: str
) -> None:
    with pytest.raises(RecipeError, match=f"{option} does not apply"):
        run_command(*train_words, "--out", tmp_path, option)


def test_the_recipes_are_listed_with_the_detector_among_them() -> None:
    assert "detector: Face detector" in run_command("recipes")


def test_a_limit_puts_no_held_out_photograph_into_the_training(detection_data: Path) -> None:
    photos, faces = detection_data / "photos", detection_data / "faces.parquet"
    whole, some = (read_assets(photos, faces, make_recipe(), limit) for limit in (None, 2))
    assert (len(some.train), len(some.held_out)) == (2, 2)
    held_out = {photo.name for photo in whole.held_out}
    assert {photo.name for photo in some.held_out} <= held_out
    assert held_out.isdisjoint(photo.name for photo in some.train)


def test_the_pasted_faces_come_from_the_training_split(detection_data: Path, faces: FaceDataset) -> None:
    assets = read_assets(detection_data / "photos", detection_data / "faces.parquet", make_recipe())
    assert len(assets.faces) == faces.split_sizes["Training"]
    some = read_assets(detection_data / "photos", detection_data / "faces.parquet", make_recipe(), limit=21)
    assert len(some.faces) == pytest.approx(21, abs=3)  # a share of each class
    assert [len(photo.boxes) for photo in assets.empty] == [0] * len(HELD_OUT_NEGATIVES)
