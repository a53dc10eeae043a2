from pathlib import Path

import pytest
import yaml

from tests.training.commands import run_command
from tests.training.conftest import Once
from tests.training.tasks.landmarks.made import make_points, make_recipe, make_tiles, write_images, write_landmarks


@pytest.fixture(scope="session")
def inputs(once: Once) -> Path:
    """A folder with drawn faces, their landmarks and a recipe that learns them."""

    def write(folder: Path) -> None:
        points = make_points(600)
        tiles = make_tiles(points)
        write_images(tiles, folder / "faces.parquet")
        write_landmarks(tiles[:590], points[:590], folder / "landmarks.csv")
        (folder / "tiny.yaml").write_text(yaml.safe_dump(make_recipe().model_dump(mode="json")), encoding="utf-8")

    return once("landmark-data", write)


@pytest.fixture(scope="session")
def exported(once: Once, inputs: Path) -> Path:
    """landmarks.onnx of a trained run, beside its run folder `run`."""

    def train(folder: Path) -> None:
        words = ["--data", inputs / "faces.parquet", "--landmarks", inputs / "landmarks.csv"]
        run_command("train", inputs / "tiny.yaml", *words, "--out", folder / "run", "--device", "cpu")
        out = run_command("export", folder / "run", "--out", folder / "landmarks.onnx")
        (folder / "export.txt").write_text(out, encoding="utf-8")

    return once("landmark-run", train) / "landmarks.onnx"
