from pathlib import Path

import pytest
from lightning.fabric import Fabric

from tests.training.detector.conftest import run_training
from tests.training.detector.made import make_recipe
from tests.training.runs import InterruptedRun, assert_same, checkpoint, without_times
from training.detector.material import Material
from training.errors import RunError
from training.run import RunFolder


def test_the_tiny_set_is_learnt(detector_run: RunFolder) -> None:
    entries = detector_run.metrics()
    assert [entry["epoch"] for entry in entries] == list(range(1, 11))
    assert entries[-1]["loss"] < entries[0]["loss"] / 1.5
    assert [entry["phase"] for entry in entries] == ["phase 0"] * 5 + ["phase 1"] * 5
    assert max(entry["select_ap50"] for entry in entries) > 0.5


def test_the_best_epoch_is_kept(detector_run: RunFolder) -> None:
    best, found = checkpoint(detector_run.best), [entry["select_ap50"] for entry in detector_run.metrics()]
    assert best["ap50"] == pytest.approx(max(found), abs=1e-5)
    assert found[best["epoch"] - 1] == max(found)


@pytest.mark.parametrize("epochs", [2, 3], ids=["within a phase", "between two"])
@pytest.mark.parametrize("logged", [True, False])
def test_an_interrupted_run_ends_as_one_that_was_not(
    tmp_path: Path, material: Material, fabric: Fabric, logged: bool, epochs: int
) -> None:
    recipe = make_recipe()
    whole = run_training(recipe, material, RunFolder(tmp_path / "whole"), fabric)
    with pytest.raises(KeyboardInterrupt):
        run_training(recipe, material, InterruptedRun(tmp_path / "cut", epochs, logged), fabric)
    cut = run_training(recipe, material, RunFolder(tmp_path / "cut"), fabric)
    assert_same(checkpoint(whole.last), checkpoint(cut.last))
    assert_same(checkpoint(whole.best), checkpoint(cut.best))
    assert without_times(whole) == without_times(cut)


def test_a_run_of_another_recipe_is_not_gone_on_with(
    material: Material, fabric: Fabric, detector_run: RunFolder
) -> None:
    with pytest.raises(RunError, match="another recipe"):
        run_training(make_recipe(seed=5), material, detector_run, fabric)
