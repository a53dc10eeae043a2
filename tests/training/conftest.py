import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fer_service.contract.bundle import Metadata
from fer_training.data import FaceDataset, load_dataset
from fer_training.engine.device import build_fabric
from fer_training.engine.run_folder import RunFolder
from fer_training.tasks.emotion.export import export
from fer_training.tasks.emotion.recipe import EmotionRecipe
from fer_training.tasks.emotion.splits import train_and_validation
from filelock import FileLock
from lightning.fabric import Fabric

from tests.training.runs import make_trainer, start_run
from tests.training.synthetic import make_faces, make_recipe, write_csv, write_folders, write_parquet

Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Use one thread: these small networks are slower on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def faces() -> FaceDataset:
    """84 Training and 35 PublicTest images of seven patterns."""
    return make_faces()


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def parquet_file(faces: FaceDataset, data_folder: Path) -> Path:
    return write_parquet(faces, data_folder / "fer2013.parquet")


@pytest.fixture(scope="session")
def csv_file(faces: FaceDataset, data_folder: Path) -> Path:
    return write_csv(faces, data_folder / "fer2013.csv")


@pytest.fixture(scope="session")
def split_folders(faces: FaceDataset, data_folder: Path) -> Path:
    """<split>/<class>/NAME.png."""
    return write_folders(faces, data_folder / "split-folders")


@pytest.fixture(scope="session")
def class_folders(faces: FaceDataset, data_folder: Path) -> Path:
    """<class>/NAME.png."""
    return write_folders(faces, data_folder / "class-folders", by_split=False)


@pytest.fixture(scope="session")
def recipe() -> EmotionRecipe:
    return make_recipe()


@pytest.fixture(scope="session")
def fabric() -> Fabric:
    fabric = build_fabric("cpu")
    fabric.launch()
    return fabric


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Makes a folder once for all processes that run tests, because training and export take long."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        path = shared / name
        with FileLock(shared / f"{name}.lock"):
            if not path.exists():
                partial = shared / f"{name}.partial"
                partial.mkdir()
                make(partial)
                partial.rename(path)
        return path

    return folder


@pytest.fixture(scope="session")
def trained_run(once: Once, recipe: EmotionRecipe, parquet_file: Path, fabric: Fabric) -> RunFolder:
    """A complete run of the tiny recipe on the parquet file."""

    def train(folder: Path) -> None:
        run, data = RunFolder(folder), load_dataset(parquet_file, recipe.network.input_size)
        start_run(run, recipe, data, parquet_file, resume=False)
        make_trainer(recipe, *train_and_validation(data, recipe), run, fabric).fit()

    return RunFolder(once("run", train))


@pytest.fixture(scope="session")
def exported(once: Once, trained_run: RunFolder) -> tuple[Path, Metadata]:
    """The bundle of the tiny run, and its metadata from `export`."""

    def write(folder: Path) -> None:
        metadata = export(trained_run, folder / "bundle" / "tiny.onnx")
        (folder / "metadata.json").write_text(metadata.model_dump_json(by_alias=True), encoding="utf-8")

    folder = once("exported", write)
    return folder / "bundle" / "tiny.onnx", Metadata.model_validate_json((folder / "metadata.json").read_bytes())


@pytest.fixture(scope="session")
def voted(faces: FaceDataset) -> FaceDataset:
    """The faces; every second image has votes, all for its label."""
    votes = np.eye(7, dtype=np.float32)[faces.labels]
    votes[::2] = 0
    return replace(faces, votes=votes)
