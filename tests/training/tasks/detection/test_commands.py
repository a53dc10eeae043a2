from pathlib import Path

import pytest
import yaml
from fer_training.cli import app
from fer_training.data import FaceDataset
from fer_training.errors import DataError, RecipeError
from fer_training.tasks.detection import comparison
from fer_training.tasks.detection.assets import read_assets
from fer_training.tasks.detection.scenes.negatives import HELD_OUT_NEGATIVES
from typer.testing import CliRunner

from tests.training.synthetic import make_faces, write_parquet
from tests.training.tasks.detection.made import (
    SCENES,
    face_tile,
    make_assets,
    make_recipe,
    phases,
    write_photographs,
)

PARTS = {"report.html", "figures", "metrics.jsonl", "last.ckpt", "recipe.yaml", "environment.json"}


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if result.exception:
        raise result.exception
    return result.output


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, faces to paste, and a recipe."""
    folder = tmp_path_factory.mktemp("data")
    assets = make_assets()
    write_photographs(folder / "photos", (*assets.train, *assets.held_out))
    discs = make_faces()
    discs.images[:] = face_tile()[..., None]
    write_parquet(discs, folder / "faces.parquet")
    recipe = make_recipe(epoch_images=64, scenes=SCENES, phases=phases(3)).model_dump(mode="json", by_alias=True)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return folder


def inputs(data: Path) -> tuple[object, ...]:
    return (
        "train",
        data / "tiny.yaml",
        "--data",
        data / "photos",
        "--faces",
        data / "faces.parquet",
        "--device",
        "cpu",
    )


@pytest.mark.trains
def test_from_photographs_to_a_measured_file_by_four_commands(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "_SECONDS", 0.1)  # of timing per detector and size
    run(*inputs(data), "--out", tmp_path / "run")
    assert str(tmp_path / "run" / "report.html") in run("report", tmp_path / "run").replace("\n", "")
    assert {path.name for path in (tmp_path / "run").iterdir()} >= PARTS
    figures = {path.name for path in (tmp_path / "run" / "figures").iterdir()}
    assert figures == {"curves.png", "precision_recall.png", "missed.png", "false_boxes.png", "scenes.png"}
    assert "AP50" in run("export", tmp_path / "run", "--out", tmp_path / "tiny.onnx")
    compared = run(
        "evaluate",
        "--model",
        tmp_path / "tiny.onnx",
        "--data",
        data / "photos",
        "--split",
        "held-out",
        "--beside",
        "haar",
    )
    assert "tiny" in compared
    assert "haar" in compared
    assert "bare 24–48" in compared


def test_a_detector_needs_faces_to_paste(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--faces"):
        run("train", data / "tiny.yaml", "--data", data / "photos", "--out", tmp_path)


@pytest.mark.parametrize("option", ["--from-scratch", "--strict"])
def test_options_of_the_other_networks_are_refused(data: Path, tmp_path: Path, option: str) -> None:
    with pytest.raises(RecipeError, match=f"{option} does not apply"):
        run(*inputs(data), "--out", tmp_path, option)


def test_the_recipes_are_listed_with_the_detector_among_them() -> None:
    assert "detector: Face detector" in run("recipes")


def test_the_pasted_faces_come_from_the_training_split(data: Path, faces: FaceDataset) -> None:
    assets = read_assets(data / "photos", data / "faces.parquet", make_recipe())
    assert len(assets.faces) == faces.split_sizes["Training"]
    assert len(read_assets(data / "photos", data / "faces.parquet", make_recipe(), limit=5).faces) == 5
    assert [len(photo.boxes) for photo in assets.empty] == [0] * len(HELD_OUT_NEGATIVES)
