"""A further task is one folder: `new_task/valence`."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from fer_training import tasks
from fer_training.errors import RecipeError

from tests.training.commands import run_command

PHASE = {"name": "all", "epochs": 6, "optimizer": {"name": "adam", "lr": 0.03}, "schedule": {"name": "constant"}}
RECIPE = {"task": "valence", "name": "tiny", "description": "Likes light.", "phases": [PHASE], "ema_decay": 0.5}


@pytest.fixture(autouse=True)
def folder() -> Iterator[None]:
    place = str(Path(__file__).parent / "new_task")
    tasks.__path__.append(place)
    yield
    tasks.__path__.remove(place)


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    """A recipe, and images that are as pleasant as they are bright."""
    rng = np.random.default_rng(0)
    valence = rng.uniform(-1, 1, 160).astype(np.float32)
    images = (valence[:, None, None, None] / 2 + 0.5 + rng.normal(0, 0.05, (160, 1, 16, 16))).astype(np.float32)
    np.savez(tmp_path / "faces.npz", images=images, valence=valence)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    return [str(tmp_path / "tiny.yaml"), "--data", str(tmp_path / "faces.npz"), "--device", "cpu"]


@pytest.mark.trains
def test_all_commands_know_it(inputs: list[str], tmp_path: Path) -> None:
    folder, out = str(tmp_path / "run"), str(tmp_path / "valence.onnx")
    assert "correlation" in run_command("train", *inputs, "--out", folder)
    entries = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert entries[-1]["val_correlation"] > 0.9
    assert entries[-1]["loss"] < entries[0]["loss"]
    assert "valence.onnx" in run_command("export", folder, "--out", out)
    evaluated = run_command("evaluate", "--model", out, "--data", str(tmp_path / "faces.npz"), "--json")
    assert json.loads(evaluated)["error"] < 0.1
    assert "metrics.jsonl" in run_command("report", folder).replace("\n", "")
    run_command("record", folder, "--into", str(tmp_path / "results.csv"))
    assert "correlation" in (tmp_path / "results.csv").read_text(encoding="utf-8")


def test_options_of_other_tasks_are_refused(inputs: list[str], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="--from-scratch does not apply"):
        run_command("train", *inputs, "--out", str(tmp_path / "run"), "--from-scratch")


def test_an_unknown_task_is_named_with_the_known_ones() -> None:
    assert tasks.available_tasks() == ("detection", "emotion", "landmarks", "valence")
    with pytest.raises(RecipeError, match="unknown task 'age': use one of detection, emotion, landmarks, valence"):
        tasks.task_of({"task": "age"})
