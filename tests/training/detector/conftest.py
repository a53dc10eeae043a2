from pathlib import Path

import pytest
from lightning.fabric import Fabric

from service.detectors.own import DetectorMetadata
from tests.training.detector.made import make_material, make_recipe, phases
from training.detector.commands import run_recipe
from training.detector.export import export_detector
from training.detector.loop import DetectorTraining
from training.detector.material import Material
from training.detector.recipe import DetectorRecipe
from training.run import RunFolder


def run_training(recipe: DetectorRecipe, material: Material, run: RunFolder, fabric: Fabric) -> RunFolder:
    training = DetectorTraining(recipe, material, run, fabric)
    run.begin(recipe, {"sha256": list(material.sha256), "limit": None}, resume=True)
    training.go()
    return run


@pytest.fixture(scope="session")
def material() -> Material:
    return make_material()


@pytest.fixture(scope="session")
def detector_run(tmp_path_factory: pytest.TempPathFactory, material: Material, fabric: Fabric) -> RunFolder:
    """The tiny recipe for ten epochs: enough to find the discs."""
    first, last = phases(5, 5)
    recipe = make_recipe(epoch_pictures=128, phases=[first, last | {"schedule": {"name": "cosine"}}])
    run = RunFolder(Path(tmp_path_factory.mktemp("detector")))
    return run_training(recipe, material, run, fabric)


@pytest.fixture(scope="session")
def exported(
    tmp_path_factory: pytest.TempPathFactory, detector_run: RunFolder, material: Material
) -> tuple[Path, DetectorMetadata]:
    out = tmp_path_factory.mktemp("exported") / "detector.onnx"
    return out, export_detector(detector_run, run_recipe(detector_run), material, out)
