from pathlib import Path

import pytest
from fer_service.detection.tiny import DetectorMetadata
from fer_training.engine.run_folder import RunFolder
from fer_training.engine.trainer import Trainer
from fer_training.tasks.detection.assets import SceneAssets
from fer_training.tasks.detection.export import export_detector
from fer_training.tasks.detection.learner import DetectionLearner
from fer_training.tasks.detection.recipe import DetectionRecipe
from lightning.fabric import Fabric

from tests.training.tasks.detection.made import make_assets, make_recipe, phases


def run_training(recipe: DetectionRecipe, assets: SceneAssets, run: RunFolder, fabric: Fabric) -> RunFolder:
    learner = DetectionLearner(recipe, assets, fabric)
    run.start(recipe, {"data": {"sha256": list(assets.sha256), "limit": None}}, resume=True)
    Trainer(recipe, learner, run, fabric).fit()
    return run


@pytest.fixture(scope="session")
def assets() -> SceneAssets:
    return make_assets()


@pytest.fixture(scope="session")
def detector_run(tmp_path_factory: pytest.TempPathFactory, assets: SceneAssets, fabric: Fabric) -> RunFolder:
    """A run of the tiny recipe for ten epochs, enough to detect the discs."""
    first, last = phases(5, 5)
    recipe = make_recipe(epoch_images=128, phases=[first, last | {"schedule": {"name": "cosine"}}])
    run = RunFolder(Path(tmp_path_factory.mktemp("detector")))
    return run_training(recipe, assets, run, fabric)


@pytest.fixture(scope="session")
def exported(
    tmp_path_factory: pytest.TempPathFactory, detector_run: RunFolder, assets: SceneAssets
) -> tuple[Path, DetectorMetadata]:
    out = tmp_path_factory.mktemp("exported") / "detector.onnx"
    return out, export_detector(detector_run, detector_run.recipe(DetectionRecipe), assets, out)
