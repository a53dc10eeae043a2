import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from fer_service.contract.schemas import Prediction
from fer_training.cli import app
from fer_training.tasks.emotion.recipe import load_recipe
from typer.testing import CliRunner

from tests.e2e.server import ROOT, StartServer

LABELS = ["Happy", "Angry", "Sad", "Neutral", "Surprise", "Ahegao"]


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Six classes in Kaggle's layout, each of one colour."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("test", 1)):
        for number, label in enumerate(LABELS):
            folder = tmp_path / "data" / "images" / split / label
            folder.mkdir(parents=True)
            for image in range(count):
                pixels = np.full((60, 60, 3), 40 * number, np.uint8) + rng.integers(0, 9, (60, 60, 3), np.uint8)
                cv2.imwrite(str(folder / f"{image}.png"), pixels)
    return tmp_path / "data"


def test_the_published_recipe_of_six_classes_is_trained_exported_and_served(
    tmp_path: Path, folders: Path, start_server: StartServer, astronaut_jpeg: bytes
) -> None:
    recipe = load_recipe("resnet50-progressive").model_dump(mode="json", by_alias=True)
    recipe |= {"name": "mine", "data": {"labels": LABELS}, "batch_size": 9}
    # The same recipe with a small network and a tenth of the pixels.
    recipe["network"] |= {"name": "resnet26", "arguments": {"channels": [8, 8, 16, 16]}, "input_size": 64}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    run, model = tmp_path / "run", tmp_path / "mine.onnx"
    options = ["--epochs", "1", "--from-scratch", "--device", "cpu"]
    # In a process of its own, as a user does; the export is in this one, which has imported torch.
    train = [sys.executable, "-m", "fer_training", "train", tmp_path / "mine.yaml", "--data", folders]
    done = subprocess.run([*train, "--out", run, *options], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    exported = CliRunner().invoke(app, ["export", str(run), "--out", str(model)])
    assert exported.exit_code == 0, exported.output

    server = start_server(FER_MODEL=str(model))
    card = server.client.get("/model").json()
    assert (card["name"], card["labels"], card["input_size"]) == ("mine", LABELS, 64)
    assert card["card"]["parity"]["max_difference"] <= 1e-4
    answer = server.client.post("/predict", content=astronaut_jpeg)
    (face,) = Prediction.model_validate_json(answer.content).faces
    assert list(face.probabilities) == LABELS
    assert abs(sum(face.probabilities.values()) - 1) < 1e-4
