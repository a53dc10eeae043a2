from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from fer_service.contract.bundle import METADATA_KEY, Metadata
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests import scenes
from tests.e2e.server import Server
from tests.fakes import metadata
from tests.scenes import encode_image

FOLDER = Path(__file__).parent
# Tests that use one of these fixtures train a network, or use one that was trained for them.
TRAINING_FIXTURES = {"fabric", "trained_run", "detector_run", "recipe_file"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder, and those that train."""
    for item in items:
        item.add_marker(item.path.relative_to(FOLDER).parts[0])
        if TRAINING_FIXTURES.intersection(_fixtures_of(item)):
            item.add_marker("trains")
    items.sort(key=_is_short)


def _fixtures_of(item: pytest.Item) -> set[str]:
    """The fixtures that a test uses, also those that it names in its parameters and requests later."""
    fixtures = set(getattr(item, "fixturenames", ()))
    parameters = getattr(item, "callspec", None)
    named = parameters.params.values() if parameters else ()
    if any(value in ("exported", "exported_six") for value in named if isinstance(value, str)):
        fixtures.add("trained_run")
    return fixtures


def _is_short(item: pytest.Item) -> bool:
    """Sort long tests first, so that no worker has one left when the others have finished."""
    return not any(
        item.get_closest_marker(name) for name in ("e2e", "campaign", "browser", "benchmarks", "trains")
    )


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One server for all tests of a worker, with the bundled model, the own detector and default limits."""
    running = Server()
    yield running
    running.close()


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """A smiling woman, uint8 [512, 512, 3], RGB; her face lies about x 170 to 280, y 60 to 190."""
    return scenes.astronaut()


@pytest.fixture(scope="session")
def astronaut_jpeg(astronaut: NDArray[np.uint8]) -> bytes:
    return encode_image(astronaut, ".jpg")


def write_tiny_bundle(path: Path, about: Metadata) -> Path:
    """A bundle whose labels answer to the mean of the first channels: as many as it has labels, at most 3."""
    size, classes = about.input_size, len(about.labels)
    weights = np.zeros((3, classes), np.float32)
    np.fill_diagonal(weights, 8 / 255)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["faces"], ["levels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["levels", "axes"], ["mean"], keepdims=0),
            helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "tiny",
        [helper.make_tensor_value_info("faces", TensorProto.UINT8, ["N", size, size, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", classes])],
        [
            numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: about.model_dump_json(by_alias=True)})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid bundle, labels angry, happy, neutral: the mean red, green and blue of a crop decide."""
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.onnx", metadata())
