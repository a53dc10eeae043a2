from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from fer_service.detection.own import DetectorMetadata, read_detector_metadata
from fer_service.onnx.session import Session
from fer_training.engine.run_folder import RunFolder
from fer_training.engine.trainer import Trainer
from fer_training.tasks.detection.assets import SceneAssets, run_assets
from fer_training.tasks.detection.learner import DetectionLearner
from fer_training.tasks.detection.recipe import DetectionRecipe
from lightning.fabric import Fabric

from tests.training.commands import run_command
from tests.training.conftest import Once
from tests.training.synthetic import make_faces, write_parquet
from tests.training.tasks.detection.made import face_tile, make_assets, make_recipe, phases, write_photographs


def run_training(recipe: DetectionRecipe, assets: SceneAssets, run: RunFolder, fabric: Fabric) -> RunFolder:
    learner = DetectionLearner(recipe, assets, fabric)
    run.start(recipe, {"data": {"sha256": list(assets.sha256), "limit": None}}, resume=True)
    Trainer(recipe, learner, run, fabric).fit()
    return run


@pytest.fixture(scope="session")
def assets() -> SceneAssets:
    return make_assets()


@pytest.fixture(scope="session")
def detection_data(once: Once) -> Path:
    """A folder with photographs, faces to paste, and a recipe of ten epochs, enough to detect the discs."""

    def write(folder: Path) -> None:
        assets = make_assets()
        write_photographs(folder / "photos", (*assets.train, *assets.held_out))
        discs = make_faces()
        discs.images[:] = face_tile()[..., None]
        write_parquet(discs, folder / "faces.parquet")
        first, last = phases(5, 5)
        recipe = make_recipe(epoch_images=128, phases=[first, last | {"schedule": {"name": "cosine"}}])
        content = yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True))
        (folder / "tiny.yaml").write_text(content, encoding="utf-8")

    return once("detection-data", write)


@pytest.fixture(scope="session")
def train_words(detection_data: Path) -> tuple[object, ...]:
    """`train` with its data."""
    faces = ("--faces", detection_data / "faces.parquet")
    return ("train", detection_data / "tiny.yaml", "--data", detection_data / "photos", *faces, "--device", "cpu")


@pytest.fixture(scope="session")
def detector_run(once: Once, train_words: tuple[object, ...], fabric: Fabric) -> RunFolder:
    """A run of the tiny recipe, trained by the command."""
    return RunFolder(once("detector", lambda folder: run_command(*train_words, "--out", folder)))


@pytest.fixture(scope="session")
def run_data(detector_run: RunFolder) -> SceneAssets:
    """The data of the run; it has no images without people."""
    return replace(run_assets(detector_run, detector_run.recipe(DetectionRecipe)), empty=())


@pytest.fixture(scope="session")
def exported(once: Once, detector_run: RunFolder) -> tuple[Path, DetectorMetadata]:
    """The file of the run, exported by the command, whose words are in export.txt."""

    def write(folder: Path) -> None:
        printed = run_command("export", detector_run.path, "--out", folder / "detector.onnx")
        (folder / "export.txt").write_text(printed, encoding="utf-8")

    file = once("exported-detector", write) / "detector.onnx"
    return file, read_detector_metadata(Session.open(file, device="cpu", threads=1), str(file))
