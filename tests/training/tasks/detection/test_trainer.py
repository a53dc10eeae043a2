from pathlib import Path

import numpy as np
import pytest
from fer_training.engine.run_folder import RunFolder
from fer_training.errors import RecipeError, RunError
from fer_training.tasks.detection import assets as material_module
from fer_training.tasks.detection.assets import SceneAssets
from fer_training.tasks.detection.export import averaged_detector
from fer_training.tasks.detection.export_wrapper import TorchDetector
from fer_training.tasks.detection.photographs import EVAL_SIDE
from fer_training.tasks.detection.recipe import DetectionRecipe, SceneConfig
from fer_training.tasks.detection.scenes.scene_generator import SceneGenerator, TrainingImage
from fer_training.tasks.detection.scoring import evaluate
from lightning.fabric import Fabric

from tests.training.runs import InterruptedRun, assert_same, checkpoint, without_times
from tests.training.tasks.detection.conftest import run_training
from tests.training.tasks.detection.made import WIDTHS, make_recipe, phases


def test_training_lowers_the_loss_and_finds_faces(detector_run: RunFolder) -> None:
    """The margins are wide, because kernels of other CPUs round differently."""
    entries = detector_run.metrics()
    assert [entry["epoch"] for entry in entries] == list(range(1, 11))
    assert entries[-1]["loss"] < 0.85 * entries[0]["loss"]
    assert [entry["phase"] for entry in entries] == ["phase 0"] * 5 + ["phase 1"] * 5
    assert max(entry["val_ap50"] for entry in entries) > 0.5


def test_the_average_of_the_last_epoch_is_exported(detector_run: RunFolder, run_data: SceneAssets) -> None:
    network, epochs = averaged_detector(detector_run, detector_run.recipe(DetectionRecipe))
    assert epochs == 10
    judged = evaluate(TorchDetector(network, EVAL_SIDE), [photo.shrunk(EVAL_SIDE) for photo in run_data.held_out])
    found = judged.average_precision(*judged.kinds()["all"])
    assert found == pytest.approx(detector_run.metrics()[-1]["val_ap50"], abs=1e-5)


def test_images_follow_the_settings_of_their_phase(
    tmp_path: Path, assets: SceneAssets, fabric: Fabric, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[SceneConfig] = []

    class Noted(SceneGenerator):
        def generate(self, rng: np.random.Generator, side: int) -> TrainingImage:
            used.append(self._config)
            return super().generate(rng, side)

    monkeypatch.setattr(material_module, "SceneGenerator", Noted)
    recipe = make_recipe(phases=[phases(1)[0] | {"scenes": {"empty": 1.0, "pastes": 0.0}}, *phases(1)])
    run_training(recipe, assets, RunFolder(tmp_path), fabric)
    made = recipe.epoch_images
    assert [(config.empty, config.pastes) for config in used] == [(1.0, 0.0)] * made + [(0.08, 1.5)] * made


@pytest.mark.parametrize(
    ("scenes", "named"),
    [
        ({"sides": [64]}, "changes sides: set them in the recipe's scenes"),
        ({"crowds": 0.1}, "crowds"),
        ({"cut": 2}, "cut"),
    ],
)
def test_a_phase_with_invalid_changes_is_refused(scenes: dict[str, object], named: str) -> None:
    with pytest.raises(RecipeError, match=named):
        make_recipe(phases=[phases(1)[0] | {"scenes": scenes}])


WIDER = WIDTHS | {"stages": [16, 24, 24], "neck": 24}


WIDENED = make_recipe(phases=[phases(1)[0], phases(1)[0] | {"network": WIDER}, *phases(1)])


@pytest.fixture(scope="module")
def widened(tmp_path_factory: pytest.TempPathFactory, assets: SceneAssets, fabric: Fabric) -> RunFolder:
    return run_training(WIDENED, assets, RunFolder(tmp_path_factory.mktemp("widened")), fabric)


@pytest.mark.parametrize("epochs", [2, 3], ids=["before it is widened", "afterwards"])
def test_a_widened_network_resumes_with_its_width(
    tmp_path: Path, assets: SceneAssets, fabric: Fabric, widened: RunFolder, epochs: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_training(WIDENED, assets, InterruptedRun(tmp_path, epochs), fabric)
    network, ended = averaged_detector(widened, WIDENED)
    assert ended == 3
    assert network.state_dict()["laterals.2.0.weight"].shape[:2] == (24, 24)
    cut = run_training(WIDENED, assets, RunFolder(tmp_path), fabric)
    assert_same(checkpoint(widened.last), checkpoint(cut.last))
    assert without_times(widened) == without_times(cut)


@pytest.mark.parametrize("change", [{"neck": 8}, {"blocks": [1, 2, 1]}])
def test_a_phase_with_a_network_that_is_not_wider_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(
        RecipeError, match="phase 0 has a narrower network, or other blocks, than the phase before it"
    ):
        make_recipe(phases=[phases(1)[0] | {"network": WIDTHS | change}])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, assets: SceneAssets, fabric: Fabric) -> RunFolder:
    return run_training(make_recipe(), assets, RunFolder(tmp_path_factory.mktemp("whole")), fabric)


@pytest.mark.parametrize("epochs", [2, 3], ids=["within a phase", "between two"])
@pytest.mark.parametrize("logged", [True, False])
def test_an_interrupted_run_equals_an_uninterrupted_one(
    tmp_path: Path, assets: SceneAssets, fabric: Fabric, uninterrupted: RunFolder, logged: bool, epochs: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_training(make_recipe(), assets, InterruptedRun(tmp_path, epochs, logged), fabric)
    cut = run_training(make_recipe(), assets, RunFolder(tmp_path), fabric)
    assert_same(checkpoint(uninterrupted.last), checkpoint(cut.last))
    assert without_times(uninterrupted) == without_times(cut)


def test_a_run_of_another_recipe_is_not_resumed(
    assets: SceneAssets, fabric: Fabric, detector_run: RunFolder
) -> None:
    with pytest.raises(RunError, match="another recipe"):
        run_training(make_recipe(seed=5), assets, detector_run, fabric)
