from collections.abc import Iterator
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
from lightning.fabric import Fabric

from tests.training.runs import make_trainer, start_run
from tests.training.synthetic import make_faces, make_recipe, write_csv, write_folders, write_parquet


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
def trained_run(
    tmp_path_factory: pytest.TempPathFactory, recipe: EmotionRecipe, parquet_file: Path, fabric: Fabric
) -> RunFolder:
    """A complete run of the tiny recipe on the parquet file."""
    run = RunFolder(tmp_path_factory.mktemp("run"))
    data = load_dataset(parquet_file, recipe.network.input_size)
    start_run(run, recipe, data, parquet_file, resume=False)
    make_trainer(recipe, *train_and_validation(data, recipe), run, fabric).fit()
    return run


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, trained_run: RunFolder) -> tuple[Path, Metadata]:
    """The bundle of the tiny run, and its metadata from `export`."""
    out = tmp_path_factory.mktemp("exported") / "tiny.onnx"
    return out, export(trained_run, out)


@pytest.fixture(scope="session")
def voted(faces: FaceDataset) -> FaceDataset:
    """The faces; every second image has votes, all for its label."""
    votes = np.eye(7, dtype=np.float32)[faces.labels]
    votes[::2] = 0
    return replace(faces, votes=votes)
