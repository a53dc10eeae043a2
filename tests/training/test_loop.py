import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric

from tests.training.synthetic import NETWORK, PHASE, make_recipe, train
from training.config import Phase, Recipe
from training.data import FaceDataset, folders
from training.data.images import FileImages
from training.device import Split, build_fabric, logits_of
from training.errors import RunError
from training.loop import Standing, Training
from training.model import EmotionNetwork
from training.run import RunFolder
from training.splits import fit_and_select

BORDER = 2
TIMES = ("seconds", "images_per_second")
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


@dataclass(frozen=True)
class InterruptedRun(RunFolder):
    """A run that someone interrupts when an epoch has ended, before or after it is logged."""

    after_epoch: int = 1
    logged: bool = True

    def log(self, entry: dict[str, Any]) -> None:
        if self.logged or entry["epoch"] != self.after_epoch:
            super().log(entry)
        if entry["epoch"] == self.after_epoch:
            raise KeyboardInterrupt


def run_training(recipe: Recipe, faces: FaceDataset, run: RunFolder, fabric: Fabric) -> RunFolder:
    run.start(recipe, faces, Path("faces.csv"), resume=True)
    train(recipe, *fit_and_select(faces, recipe), run, fabric)
    return run


def checkpoint(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Equal bit for bit, through all levels of a checkpoint."""
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


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, faces: FaceDataset, fabric: Fabric) -> RunFolder:
    return run_training(EVERYTHING_RANDOM, faces, RunFolder(tmp_path_factory.mktemp("whole")), fabric)


def test_the_tiny_set_is_learnt(trained_run: RunFolder) -> None:
    entries = trained_run.metrics()
    assert [entry["epoch"] for entry in entries] == [1, 2, 3]
    assert entries[-1]["loss"] < entries[0]["loss"] / 1.3
    assert max(entry["select_accuracy"] for entry in entries) > 0.6


def test_the_best_epoch_is_kept_when_later_ones_are_worse(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric, trained_run: RunFolder
) -> None:
    ruin = PHASE | {"epochs": 2, "optimizer": {"name": "sgd", "lr": 1000}}
    run = run_training(make_recipe(phases=[PHASE, ruin]), faces, RunFolder(tmp_path), fabric)
    accuracies = [entry["select_accuracy"] for entry in run.metrics()]
    assert max(accuracies[3:]) < max(accuracies)
    best = checkpoint(run.best)
    assert best["accuracy"] == pytest.approx(max(accuracies), abs=1e-5)
    assert accuracies[best["epoch"] - 1] == max(accuracies)
    assert_same(best["network"], checkpoint(trained_run.best)["network"])


def test_every_epoch_sees_each_picture_once_in_an_order_of_its_own(
    tmp_path: Path, faces: FaceDataset, recipe: Recipe, fabric: Fabric
) -> None:
    training = Training(recipe, *fit_and_select(faces, recipe), RunFolder(tmp_path), fabric)
    first, again, second = (torch.cat([rows for rows, _ in training._batches(epoch)]) for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(84))


def test_a_short_run_is_judged_by_an_average_that_has_left_the_first_weights_behind(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric
) -> None:
    recipe = make_recipe(ema_decay=0.998)
    run = run_training(recipe, faces, RunFolder(tmp_path), fabric)
    torch.manual_seed(recipe.seed)
    first = EmotionNetwork(recipe.network, 7).state_dict()["backbone.fc.weight"]
    last = checkpoint(run.last)["network"]["backbone.fc.weight"]
    average = checkpoint(run.best)["network"]["backbone.fc.weight"]
    assert (average - last).norm() < (average - first).norm()


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
    assert content.keys() == {"network", "ema", "optimizer", "rate", "standing"}
    assert (content["standing"]["epoch"], len(uninterrupted.metrics())) == (4, 4)


def test_another_seed_trains_another_network(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric, trained_run: RunFolder
) -> None:
    other = run_training(make_recipe(seed=1), faces, RunFolder(tmp_path), fabric)
    assert without_times(other) != without_times(trained_run)


def test_a_finished_run_is_not_trained_again(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric, uninterrupted: RunFolder
) -> None:
    copy = RunFolder(shutil.copytree(uninterrupted.path, tmp_path / "copy"))
    run_training(EVERYTHING_RANDOM, faces, copy, fabric)
    assert copy.last.read_bytes() == uninterrupted.last.read_bytes()
    assert copy.metrics() == uninterrupted.metrics()


def test_an_epoch_interrupted_before_it_was_logged_is_in_the_log_after_all(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric
) -> None:
    recipe = make_recipe(phases=[PHASE | {"epochs": 2}])
    with pytest.raises(KeyboardInterrupt):
        run_training(recipe, faces, InterruptedRun(tmp_path, 1, logged=False), fabric)
    resumed = run_training(recipe, faces, RunFolder(tmp_path), fabric)
    assert [entry["epoch"] for entry in resumed.metrics()] == [1, 2]


@pytest.mark.parametrize("name", ["last.partial", "best.partial"])
def test_a_run_that_met_a_full_disk_goes_on_to_the_same_checkpoints(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric, name: str
) -> None:
    recipe = make_recipe(phases=[PHASE | {"epochs": 1}])
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(RunError, match="cannot be written"):
        run_training(recipe, faces, RunFolder(tmp_path), fabric)
    assert not list(tmp_path.glob("*.partial"))
    resumed = run_training(recipe, faces, RunFolder(tmp_path), fabric)
    assert resumed.last.exists()
    assert resumed.best.exists()


def test_a_failing_save_leaves_the_former_checkpoint(tmp_path: Path, faces: FaceDataset, fabric: Fabric) -> None:
    recipe = make_recipe(phases=[PHASE | {"epochs": 3}])
    with pytest.raises(KeyboardInterrupt):
        run_training(recipe, faces, InterruptedRun(tmp_path, 2), fabric)
    run = RunFolder(tmp_path)
    former = run.last.read_bytes()
    (tmp_path / "last.partial").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"last\.ckpt cannot be written .* the checkpoint before it is still there"):
        run_training(recipe, faces, run, fabric)
    assert run.last.read_bytes() == former


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "of another network", "of something else"])
def test_a_damaged_checkpoint_is_refused_by_name(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric, recipe: Recipe, trained_run: RunFolder, damage: str
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
    with pytest.raises(RunError, match=r"last\.ckpt (cannot be read|does not fit the run): "):
        train(recipe, *fit_and_select(faces, recipe), run, fabric)


def test_fewer_pictures_than_a_batch_are_one_step(tmp_path: Path, faces: FaceDataset, fabric: Fabric) -> None:
    recipe = make_recipe(batch_size=1000, phases=[PHASE | {"epochs": 1}])
    (entry,) = run_training(recipe, faces, RunFolder(tmp_path), fabric).metrics()
    assert math.isfinite(entry["loss"])


def test_logits_are_those_of_evaluation_in_float32_and_in_order(faces: FaceDataset, fabric: Fabric) -> None:
    torch.manual_seed(0)
    recipe = make_recipe(network=NETWORK | {"dropout": 0.5, "input_size": 16})
    network = fabric.to_device(EmotionNetwork(recipe.network, 7)).train()
    split = Split(faces, fabric.device)
    logits = logits_of(network, split, recipe, fabric)
    assert logits.shape == (len(faces), 7)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, logits_of(network, split, recipe, fabric))
    last = faces.split("PublicTest")
    rows = torch.from_numpy(faces.splits == "PublicTest")
    alone = logits_of(network, Split(last, fabric.device), recipe, fabric)
    torch.testing.assert_close(logits[rows], alone, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("processes", [1, 2])
def test_torchrun_decides_the_number_of_processes(monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    assert build_fabric("cpu").world_size == processes


@pytest.mark.parametrize(
    ("accuracies", "patience", "epochs"),
    [
        ((0.1, 0.2, 0.2, 0.1, 0.3), 2, 4),
        ((0.5, 0.4, 0.6, 0.5, 0.5), 2, 5),
        ((0.5, 0.4, 0.3, 0.2, 0.1), 1, 2),
        ((0.5, 0.4, 0.3, 0.2, 0.1), 0, 5),
    ],
)
def test_a_phase_ends_after_so_many_epochs_without_a_better_one(
    accuracies: tuple[float, ...], patience: int, epochs: int
) -> None:
    standing, phase = Standing(), Phase.model_validate(PHASE | {"epochs": 5, "patience": patience})
    for accuracy in accuracies:
        if standing.in_phase(phase):
            standing.ended(accuracy)
    assert standing.epoch == standing.phase_epoch == epochs
    assert not standing.in_phase(phase)


def test_the_next_phase_has_patience_again_and_a_best_of_its_own() -> None:
    standing, phase = Standing(), Phase.model_validate(PHASE | {"patience": 1})
    for accuracy in (0.9, 0.8):
        standing.ended(accuracy)
    standing.next_phase()
    assert standing == Standing(epoch=2, phase=1, best=0.9)
    for accuracy in (0.1, 0.2):
        standing.ended(accuracy)
        assert standing.in_phase(phase)
    assert (standing.best, standing.phase_best) == (0.9, 0.2)


PLATEAU = make_recipe(
    phases=[
        PHASE | {"epochs": 6, "patience": 3, "schedule": {"name": "plateau", "factor": 0.5, "patience": 1}},
        PHASE | {"epochs": 1, "trainable": {"from": "layer4"}, "optimizer": {"name": "adam", "lr": 0.001}},
    ],
    batch_size=42,
    sampler="balanced",
    loss={"name": "focal", "class_weights": "balanced", "votes_head": 0.5},
)


@pytest.fixture(scope="module")
def voted(faces: FaceDataset) -> FaceDataset:
    """The faces, every other one with votes that all agree with its label."""
    votes = np.eye(7, dtype=np.float32)[faces.labels]
    votes[::2] = 0
    return replace(faces, votes=votes)


@pytest.mark.parametrize("after_epoch", [2, 4])
def test_a_run_with_plateaus_early_stop_and_second_head_resumes_bit_for_bit(
    tmp_path: Path, voted: FaceDataset, fabric: Fabric, after_epoch: int
) -> None:
    whole = run_training(PLATEAU, voted, RunFolder(tmp_path / "whole"), fabric)
    assert len(whole.metrics()) <= 7
    with pytest.raises(KeyboardInterrupt):
        run_training(PLATEAU, voted, InterruptedRun(tmp_path / "parted", after_epoch), fabric)
    resumed = run_training(PLATEAU, voted, RunFolder(tmp_path / "parted"), fabric)
    assert_same(checkpoint(resumed.last), checkpoint(whole.last))
    assert without_times(resumed) == without_times(whole)


def test_a_phase_that_gets_no_better_is_left_early_and_its_rate_reduced(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric
) -> None:
    stuck = PHASE | {"optimizer": {"name": "sgd", "lr": 1e-6}, "epochs": 9, "name": "stuck"}
    plateau = {"name": "plateau", "factor": 0.1, "patience": 1}
    recipe = make_recipe(phases=[stuck | {"patience": 4, "schedule": plateau, "trainable": "head"}, PHASE])
    entries = run_training(recipe, faces, RunFolder(tmp_path), fabric).metrics()
    assert [entry["phase"] for entry in entries] == ["stuck"] * 5 + ["all"] * 3
    assert [entry["lr"] for entry in entries[:5]] == pytest.approx([1e-6] * 3 + [1e-7] * 2)


def test_a_balanced_sampler_shows_rare_classes_as_often_as_common_ones(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric
) -> None:
    fit, select = fit_and_select(faces, make_recipe())
    rare = fit._rows((fit.labels != 0) | (np.cumsum(fit.labels == 0) <= 2))
    shares = []
    for sampler in ("shuffled", "balanced"):
        training = Training(make_recipe(sampler=sampler), rare, select, RunFolder(tmp_path), fabric)
        rows = torch.cat([rows for epoch in range(20) for rows, _ in training._batches(epoch)])
        shares.append(float((rare.labels[rows] == 0).mean()))
    assert shares[0] == pytest.approx(2 / len(rare), abs=0.01)
    assert shares[1] == pytest.approx(1 / 7, abs=0.03)


def test_balanced_class_weights_change_the_loss_where_classes_are_rare(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric
) -> None:
    fit, select = fit_and_select(faces, make_recipe())
    rare = fit._rows((fit.labels != 0) | (np.cumsum(fit.labels == 0) <= 2))
    recipe = make_recipe(loss={"class_weights": "balanced"})
    weights = Training(recipe, rare, select, RunFolder(tmp_path), fabric).class_weights
    assert weights is not None
    assert weights.argmax() == 0
    assert Training(make_recipe(), rare, select, RunFolder(tmp_path), fabric).class_weights is None


def test_training_on_streamed_files_equals_training_in_memory(
    tmp_path: Path, split_folders: Path, fabric: Fabric
) -> None:
    recipe = make_recipe(phases=[PHASE | {"epochs": 1}], augment={"flip": 0.5, "cutmix": 1.0}, sampler="balanced")
    runs = []
    for name, in_memory_bytes in (("streamed", 0), ("resident", 2**30)):
        data = folders.read(split_folders, 48, in_memory_bytes)
        assert isinstance(data.images, FileImages) == (name == "streamed")
        runs.append(run_training(recipe, data, RunFolder(tmp_path / name), fabric))
    assert_same(checkpoint(runs[0].last), checkpoint(runs[1].last))
    assert without_times(runs[0]) == without_times(runs[1])


def test_a_second_head_learns_the_votes(tmp_path: Path, voted: FaceDataset, fabric: Fabric) -> None:
    recipe = make_recipe(loss={"votes_head": 1.0}, phases=[PHASE | {"trainable": "head", "epochs": 1}])
    run = run_training(recipe, voted, RunFolder(tmp_path), fabric)
    torch.manual_seed(recipe.seed)
    first = EmotionNetwork(recipe.network, 7, votes_head=True).state_dict()
    last = checkpoint(run.last)["network"]
    changed = {name for name, value in last.items() if not torch.equal(value, first[name])}
    assert changed == {"backbone.fc.weight", "backbone.fc.bias", "votes.weight", "votes.bias"}
