import shutil
from pathlib import Path

import pytest
import torch
from fer_training.data import FaceDataset
from fer_training.engine.run_folder import RunFolder
from fer_training.errors import RunError
from fer_training.tasks.emotion.recipe import EmotionRecipe
from fer_training.tasks.emotion.splits import train_and_validation
from lightning.fabric import Fabric

from tests.training.runs import (
    PLATEAU,
    InterruptedRun,
    assert_same,
    checkpoint,
    make_trainer,
    run_training,
    without_times,
)
from tests.training.synthetic import NETWORK, PHASE, make_recipe

BORDER = 2
EVERYTHING_RANDOM = make_recipe(
    network=NETWORK | {"dropout": 0.3},
    phases=[
        PHASE | {"name": "head", "trainable": "head", "epochs": BORDER, "schedule": {"name": "onecycle"}},
        PHASE | {"epochs": 2, "schedule": {"name": "cosine", "warmup_epochs": 1}},
    ],
    augment={"flip": 0.5, "rotate": 10, "brightness": 0.2, "erase": 0.3, "mixup": 0.2, "cutmix": 1.0},
    loss={"label_smoothing": 0.1},
    ema_decay=0.9,
    clip_norm=1.0,
    batch_size=28,
)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, faces: FaceDataset, fabric: Fabric) -> RunFolder:
    return run_training(EVERYTHING_RANDOM, faces, RunFolder(tmp_path_factory.mktemp("whole")), fabric)


@pytest.mark.parametrize("after_epoch", [1, BORDER, 3, 4])
def test_an_interrupted_and_resumed_run_equals_an_uninterrupted_one(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric, uninterrupted: RunFolder, after_epoch: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_training(EVERYTHING_RANDOM, faces, InterruptedRun(tmp_path, after_epoch), fabric)
    resumed = run_training(EVERYTHING_RANDOM, faces, RunFolder(tmp_path), fabric)
    assert_same(checkpoint(resumed.last), checkpoint(uninterrupted.last))
    assert_same(checkpoint(resumed.best), checkpoint(uninterrupted.best))
    assert without_times(resumed) == without_times(uninterrupted)


def test_a_last_checkpoint_holds_all_that_a_resume_needs(uninterrupted: RunFolder) -> None:
    content = checkpoint(uninterrupted.last)
    assert content.keys() == {"network", "ema", "optimizer", "rate", "state"}
    assert (content["state"]["epoch"], len(uninterrupted.metrics())) == (4, 4)


def test_a_finished_run_is_not_trained_again(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric, uninterrupted: RunFolder
) -> None:
    copy = RunFolder(shutil.copytree(uninterrupted.path, tmp_path / "copy"))
    run_training(EVERYTHING_RANDOM, faces, copy, fabric)
    assert copy.last.read_bytes() == uninterrupted.last.read_bytes()
    assert copy.metrics() == uninterrupted.metrics()


def test_an_epoch_interrupted_before_its_log_entry_is_logged_on_resume(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric
) -> None:
    recipe = make_recipe(phases=[PHASE | {"epochs": 2}])
    with pytest.raises(KeyboardInterrupt):
        run_training(recipe, faces, InterruptedRun(tmp_path, 1, logged=False), fabric)
    resumed = run_training(recipe, faces, RunFolder(tmp_path), fabric)
    assert [entry["epoch"] for entry in resumed.metrics()] == [1, 2]


@pytest.mark.parametrize("name", ["last.ckpt.partial", "best.ckpt.partial"])
def test_a_run_resumes_after_a_full_disk(tmp_path: Path, faces: FaceDataset, fabric: Fabric, name: str) -> None:
    recipe = make_recipe(phases=[PHASE | {"epochs": 1}])
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(RunError, match="cannot write"):
        run_training(recipe, faces, RunFolder(tmp_path), fabric)
    assert not list(tmp_path.glob("*.partial"))
    resumed = run_training(recipe, faces, RunFolder(tmp_path), fabric)
    assert resumed.last.exists()
    assert resumed.best.exists()


def test_a_failed_save_keeps_the_previous_checkpoint(tmp_path: Path, faces: FaceDataset, fabric: Fabric) -> None:
    recipe = make_recipe(phases=[PHASE | {"epochs": 3}])
    with pytest.raises(KeyboardInterrupt):
        run_training(recipe, faces, InterruptedRun(tmp_path, 2), fabric)
    run = RunFolder(tmp_path)
    former = run.last.read_bytes()
    (tmp_path / "last.ckpt.partial").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"cannot write .*last\.ckpt .* the previous checkpoint is unchanged"):
        run_training(recipe, faces, run, fabric)
    assert run.last.read_bytes() == former


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "of another network", "of something else"])
def test_a_damaged_checkpoint_is_refused_by_name(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric, recipe: EmotionRecipe, trained_run: RunFolder, damage: str
) -> None:
    run = RunFolder(tmp_path)
    whole = trained_run.last.read_bytes()
    if damage == "of another network":
        torch.save(checkpoint(trained_run.last) | {"network": {"weight": torch.zeros(1)}}, run.last)
    elif damage == "of something else":
        torch.save({"weights": torch.zeros(1)}, run.last)
    else:
        run.last.write_bytes(
            {"empty": b"", "text": b"no checkpoint", "truncated": whole[: len(whole) // 2]}[damage]
        )
    with pytest.raises(RunError, match=r"(cannot read .*last\.ckpt|last\.ckpt does not match the run): "):
        make_trainer(recipe, *train_and_validation(faces, recipe), run, fabric).fit()


@pytest.fixture(scope="module")
def plateaus(tmp_path_factory: pytest.TempPathFactory, voted: FaceDataset, fabric: Fabric) -> RunFolder:
    return run_training(PLATEAU, voted, RunFolder(tmp_path_factory.mktemp("plateaus")), fabric)


@pytest.mark.parametrize("after_epoch", [2, 4])
def test_a_run_with_plateaus_early_stop_and_second_head_resumes_bit_for_bit(
    tmp_path: Path, voted: FaceDataset, fabric: Fabric, plateaus: RunFolder, after_epoch: int
) -> None:
    assert len(plateaus.metrics()) <= 7
    with pytest.raises(KeyboardInterrupt):
        run_training(PLATEAU, voted, InterruptedRun(tmp_path, after_epoch), fabric)
    resumed = run_training(PLATEAU, voted, RunFolder(tmp_path), fabric)
    assert_same(checkpoint(resumed.last), checkpoint(plateaus.last))
    assert without_times(resumed) == without_times(plateaus)
