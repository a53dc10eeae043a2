from pathlib import Path

import pytest
from fer_service.detection.tiny import DetectorMetadata
from fer_training.detector.assets import SceneAssets
from fer_training.detector.commands import run_recipe
from fer_training.detector.export import export_detector
from fer_training.detector.recipe import DetectorRecipe
from fer_training.detector.trainer import DetectorTrainer
from fer_training.run import RunFolder
from lightning.fabric import Fabric

from tests.training.detector.made import make_assets, make_recipe, phases


def run_training(recipe: DetectorRecipe, assets: SceneAssets, run: RunFolder, fabric: Fabric) -> RunFolder:
    training = DetectorTrainer(recipe, assets, run, fabric)
    run.begin(recipe, {"sha256": list(assets.sha256), "limit": None}, resume=True)
    training.fit()
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
    return out, export_detector(detector_run, run_recipe(detector_run), assets, out)
