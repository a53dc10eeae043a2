from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import skimage.data
from fer_service.contract.bundle import METADATA_KEY, Metadata
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.fakes import metadata

Encode = Callable[..., bytes]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the folder they lie in: service, training, e2e, browser, gpu."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        item.add_marker(folder)


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """A smiling woman, uint8 [512, 512, 3], RGB; her face lies about x 170 to 280, y 60 to 190."""
    image: NDArray[np.uint8] = skimage.data.astronaut()
    image.setflags(write=False)
    return image


@pytest.fixture(scope="session")
def astronaut_jpeg(astronaut: NDArray[np.uint8]) -> bytes:
    return encode_image(astronaut, ".jpg")


def encode_image(pixels: NDArray[np.generic], suffix: str, *parameters: int) -> bytes:
    """Encode RGB or grey pixels by OpenCV."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    done, buffer = cv2.imencode(suffix, bgr, parameters)
    assert done
    return buffer.tobytes()


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
