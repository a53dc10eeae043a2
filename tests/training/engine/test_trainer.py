import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fer_training.data import FaceDataset, folders
from fer_training.data.images import FileImages
from fer_training.engine.run_folder import RunFolder
from fer_training.errors import RunError
from fer_training.tasks.emotion.learner import EmotionLearner
from fer_training.tasks.emotion.model import EmotionNetwork
from fer_training.tasks.emotion.recipe import EmotionRecipe
from fer_training.tasks.emotion.splits import train_and_validation
from lightning.fabric import Fabric

from tests.training.runs import assert_same, checkpoint, make_trainer, run_training, start_run, without_times
from tests.training.synthetic import PHASE, make_recipe

CHANCE = 1 / 7


def test_training_lowers_the_loss_and_beats_chance(trained_run: RunFolder) -> None:
    """The margins are wide: kernels of other CPUs round differently, and 18 small steps amplify that."""
    entries = trained_run.metrics()
    assert [entry["epoch"] for entry in entries] == [1, 2, 3]
    assert entries[-1]["loss"] < 0.9 * entries[0]["loss"]
    assert max(entry["val_accuracy"] for entry in entries) > 1.5 * CHANCE


def test_the_best_epoch_is_kept_if_later_ones_are_worse(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric, trained_run: RunFolder
) -> None:
    ruin = PHASE | {"epochs": 2, "optimizer": {"name": "sgd", "lr": 30}}
    run = run_training(make_recipe(phases=[PHASE, ruin]), faces, RunFolder(tmp_path), fabric)
    accuracies = [entry["val_accuracy"] for entry in run.metrics()]
    assert max(accuracies[3:]) < max(accuracies)
    best = checkpoint(run.best)
    assert best["accuracy"] == pytest.approx(max(accuracies), abs=1e-5)
    assert accuracies[best["epoch"] - 1] == max(accuracies)
    assert_same(best["network"], checkpoint(trained_run.best)["network"])


@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_epoch_before(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric, clip_norm: float
) -> None:
    ruin = PHASE | {"optimizer": {"name": "sgd", "lr": 1e30}}
    recipe = make_recipe(phases=[PHASE, ruin], clip_norm=clip_norm)
    way_out = r"lower the learning rate \(optimizer\.lr\)" + ("" if clip_norm else " or set clip_norm")
    with pytest.raises(RunError, match=rf"the loss of epoch 4 is (nan|inf): {way_out}, and train into another"):
        run_training(recipe, faces, RunFolder(tmp_path), fabric)
    assert [entry["epoch"] for entry in RunFolder(tmp_path).metrics()] == [1, 2, 3]
    weights = checkpoint(RunFolder(tmp_path).last)["network"]
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, faces: FaceDataset, recipe: EmotionRecipe, fabric: Fabric
) -> None:
    (tmp_path / "tensorboard").write_text("")  # stands for a disk that is read-only
    with pytest.raises(RunError, match=r"cannot write to .*tensorboard: File exists"):
        run_training(recipe, faces, RunFolder(tmp_path), fabric)


def test_every_epoch_uses_each_image_once_in_its_own_order(
    tmp_path: Path, faces: FaceDataset, recipe: EmotionRecipe, fabric: Fabric
) -> None:
    training = make_trainer(recipe, *train_and_validation(faces, recipe), RunFolder(tmp_path), fabric)
    first, again, second = (
        torch.cat([batch.rows for batch in training.learner.batches(epoch)]) for epoch in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(84))


def test_the_average_of_a_short_run_is_close_to_its_last_weights(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric
) -> None:
    recipe = make_recipe(ema_decay=0.998)
    run = run_training(recipe, faces, RunFolder(tmp_path), fabric)
    torch.manual_seed(recipe.seed)
    first = EmotionNetwork(recipe.network, 7).state_dict()["backbone.fc.weight"]
    state = checkpoint(run.last)
    last = state["network"]["backbone.fc.weight"]
    average = state["ema"]["module.backbone.fc.weight"]
    assert (average - last).norm() < (average - first).norm()


def test_another_seed_trains_another_network(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric, trained_run: RunFolder
) -> None:
    other = run_training(make_recipe(seed=1), faces, RunFolder(tmp_path), fabric)
    assert without_times(other) != without_times(trained_run)


def test_fewer_images_than_a_batch_are_one_step(tmp_path: Path, faces: FaceDataset, fabric: Fabric) -> None:
    recipe = make_recipe(batch_size=1000, phases=[PHASE | {"epochs": 1}])
    (entry,) = run_training(recipe, faces, RunFolder(tmp_path), fabric).metrics()
    assert math.isfinite(entry["loss"])


def test_a_phase_without_progress_reduces_its_rate_and_ends_early(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric
) -> None:
    stuck = PHASE | {"optimizer": {"name": "sgd", "lr": 1e-6}, "epochs": 9, "name": "stuck"}
    plateau = {"name": "plateau", "factor": 0.1, "patience": 1}
    recipe = make_recipe(phases=[stuck | {"patience": 4, "schedule": plateau, "trainable": "head"}, PHASE])
    entries = run_training(recipe, faces, RunFolder(tmp_path), fabric).metrics()
    assert [entry["phase"] for entry in entries] == ["stuck"] * 5 + ["all"] * 3
    assert [entry["lr"] for entry in entries[:5]] == pytest.approx([1e-6] * 3 + [1e-7] * 2)


def test_a_balanced_sampler_draws_rare_classes_as_often_as_common_ones(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric
) -> None:
    train, validation = train_and_validation(faces, make_recipe())
    rare = train._rows((train.labels != 0) | (np.cumsum(train.labels == 0) <= 2))
    shares = []
    for sampler in ("shuffled", "balanced"):
        training = make_trainer(make_recipe(sampler=sampler), rare, validation, RunFolder(tmp_path), fabric)
        rows = torch.cat([batch.rows for epoch in range(20) for batch in training.learner.batches(epoch)])
        shares.append(float((rare.labels[rows] == 0).mean()))
    assert shares[0] == pytest.approx(2 / len(rare), abs=0.01)
    assert shares[1] == pytest.approx(1 / 7, abs=0.03)


def test_balanced_class_weights_raise_the_weight_of_a_rare_class(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric
) -> None:
    train, validation = train_and_validation(faces, make_recipe())
    rare = train._rows((train.labels != 0) | (np.cumsum(train.labels == 0) <= 2))
    recipe = make_recipe(loss={"class_weights": "balanced"})
    weights = EmotionLearner(recipe, rare, validation, fabric).class_weights
    assert weights is not None
    assert weights.argmax() == 0
    assert EmotionLearner(make_recipe(), rare, validation, fabric).class_weights is None


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


def test_a_phase_may_train_on_smaller_images_than_the_service_uses(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric
) -> None:
    small = PHASE | {"epochs": 1, "input_size": 24, "name": "small"}
    recipe = make_recipe(phases=[small, PHASE | {"epochs": 1}])
    training = make_trainer(recipe, *train_and_validation(faces, recipe), RunFolder(tmp_path), fabric)
    seen: list[tuple[str, int]] = []

    def record(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        seen.append(("fit" if module.training else "evaluate", inputs[0].shape[2]))

    training.network.register_forward_pre_hook(record)
    start_run(training.run, recipe, faces, tmp_path, resume=False)
    training.fit()
    assert list(dict.fromkeys(seen)) == [("fit", 24), ("evaluate", 48), ("fit", 48)]


def test_mixed_faces_teach_the_second_head_the_votes_of_both(
    tmp_path: Path, voted: FaceDataset, fabric: Fabric
) -> None:
    recipe = make_recipe(loss={"votes_head": 1.0}, augment={"mixup": 1e6}, phases=[PHASE | {"epochs": 1}])
    unanimous = replace(voted, votes=np.eye(7, dtype=np.float32)[voted.labels])
    training = make_trainer(recipe, *train_and_validation(unanimous, recipe), RunFolder(tmp_path), fabric)
    labels, votes = training.network.heads
    votes.load_state_dict(labels.state_dict())
    before = votes.state_dict()["weight"].clone()
    start_run(training.run, recipe, unanimous, tmp_path, resume=False)
    training.fit()
    # Equal weights and equal targets give equal weights.
    assert_same(votes.state_dict(), labels.state_dict())
    assert not torch.equal(votes.state_dict()["weight"], before)
