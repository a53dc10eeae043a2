"""Complete and interrupted runs, and comparison of their checkpoints."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fer_training.data import FaceDataset
from fer_training.engine.run_folder import RunFolder, file_record
from fer_training.engine.trainer import Trainer
from fer_training.tasks.emotion.learner import EmotionLearner
from fer_training.tasks.emotion.recipe import EmotionRecipe
from fer_training.tasks.emotion.splits import train_and_validation
from fer_training.tasks.emotion.task import data_record
from lightning.fabric import Fabric

from tests.training.synthetic import PHASE, make_recipe

TIMES = ("seconds", "images_per_second")


PLATEAU = make_recipe(
    phases=[
        PHASE | {"epochs": 6, "patience": 3, "schedule": {"name": "plateau", "factor": 0.5, "patience": 1}},
        PHASE | {"epochs": 1, "trainable": {"from": "layer4"}, "optimizer": {"name": "adam", "lr": 0.001}},
    ],
    batch_size=42,
    sampler="balanced",
    loss={"name": "focal", "class_weights": "balanced", "votes_head": 0.5},
)


@dataclass(frozen=True)
class InterruptedRun(RunFolder):
    """A run folder that raises KeyboardInterrupt after an epoch, before or after it is logged."""

    after_epoch: int = 1
    logged: bool = True

    def log(self, entry: dict[str, Any]) -> None:
        if self.logged or entry["epoch"] != self.after_epoch:
            super().log(entry)
        if entry["epoch"] == self.after_epoch:
            raise KeyboardInterrupt


def start_run(
    run: RunFolder,
    recipe: EmotionRecipe,
    faces: FaceDataset,
    path: Path,
    *,
    resume: bool,
    limit: int | None = None,
    teachers: dict[Path, Path] | None = None,
) -> None:
    """Start a run folder; `teachers` are the files with their weights, by their paths."""
    about = {
        "data": data_record(faces, path, limit),
        "teachers": [file_record(path, file) for path, file in (teachers or {}).items()],
    }
    run.start(recipe, about, resume)


def make_trainer(
    recipe: EmotionRecipe,
    train: FaceDataset,
    validation: FaceDataset,
    run: RunFolder,
    fabric: Fabric,
    **options: Any,
) -> Trainer:
    """A trainer of an emotion model; `options` are those of the learner."""
    return Trainer(recipe, EmotionLearner(recipe, train, validation, fabric, **options), run, fabric)


def run_training(recipe: EmotionRecipe, faces: FaceDataset, run: RunFolder, fabric: Fabric) -> RunFolder:
    start_run(run, recipe, faces, Path("faces.csv"), resume=True)
    make_trainer(recipe, *train_and_validation(faces, recipe), run, fabric).fit()
    return run


def checkpoint(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Return True if two checkpoints are equal in every bit, at all levels."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same(left, right, f"{where}/{number}")
    else:
        assert one == other, where


def without_times(run: RunFolder) -> list[dict[str, Any]]:
    return [{name: value for name, value in entry.items() if name not in TIMES} for entry in run.metrics()]
