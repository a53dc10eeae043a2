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

from tests.training.conftest import Once
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
def detector_run(once: Once, assets: SceneAssets, fabric: Fabric) -> RunFolder:
    """A run of the tiny recipe for ten epochs, enough to detect the discs."""
    first, last = phases(5, 5)
    recipe = make_recipe(epoch_images=128, phases=[first, last | {"schedule": {"name": "cosine"}}])
    return RunFolder(once("detector", lambda folder: run_training(recipe, assets, RunFolder(folder), fabric)))


@pytest.fixture(scope="session")
def exported(once: Once, detector_run: RunFolder, assets: SceneAssets) -> tuple[Path, DetectorMetadata]:
    def write(folder: Path) -> None:
        recipe = detector_run.recipe(DetectionRecipe)
        metadata = export_detector(detector_run, recipe, assets, folder / "detector.onnx")
        (folder / "metadata.json").write_text(metadata.model_dump_json(by_alias=True), encoding="utf-8")

    folder = once("exported-detector", write)
    return folder / "detector.onnx", DetectorMetadata.model_validate_json((folder / "metadata.json").read_bytes())
