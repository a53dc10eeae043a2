"""The shipped INT8 files give the same answers on every CPU.

On x86 CPUs without VNNI, vpmaddubsw adds two products of uint8 and int8 in int16. Weights of 7 bits cannot
saturate it: 2 · 255 · 64 < 2¹⁵.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from fer_service import assets
from fer_service.classification.classifier import open_classifier
from fer_service.contract.bundle import INPUT_NAME, OUTPUT_NAME
from fer_service.imaging.crop import Square, crop
from numpy.typing import NDArray
from onnx import numpy_helper

from tests.conftest import write_tiny_bundle
from tests.fakes import metadata

FILES = [assets.int8_file(path) for path in assets.MODELS.values()]
Crops = list[NDArray[np.uint8]]


@pytest.fixture(scope="module", params=FILES, ids=[path.stem for path in FILES])
def path(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def crops_of_high_contrast(astronaut: NDArray[np.uint8], size: int) -> Crops:
    """Faces, stretched faces, and bright patterns: large activations are the first to saturate."""
    about = metadata().crop
    squares = [Square(225, 125, side) for side in (90, 120, 160, 240)] + [Square(400, 200, 150)]
    faces = [crop(astronaut, square, size, about) for square in squares]
    stretched = [((face.astype(np.int32) - 128) * 4 + 128).clip(0, 255).astype(np.uint8) for face in faces]
    rows, columns = np.mgrid[:size, :size]
    patterns = [(rows // step + columns // step) % 2 * 255 for step in (1, 4, 12)] + [rows * 0 + 255]
    return [*faces, *stretched, *(np.repeat(each[..., None], 3, axis=2).astype(np.uint8) for each in patterns)]


def float_reference(path: Path, crops: Crops) -> NDArray[np.float32]:
    """Run the file without graph optimisations: float convolutions between Quantize- and DequantizeLinear."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run([OUTPUT_NAME], {INPUT_NAME: np.stack(crops)})
    return np.asarray(probabilities, np.float32)


def test_every_weight_fits_7_bits(path: Path) -> None:
    model = onnx.load(path)
    dequantized = {node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    weights = [
        numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.name in dequantized and tensor.data_type == onnx.TensorProto.INT8
    ]
    assert len(weights) > 10
    assert max(int(np.abs(each.astype(np.int32)).max()) for each in weights) <= 64


def test_the_file_declares_its_weight_bits(path: Path) -> None:
    assert open_classifier(path, "cpu", threads=1).bundle.metadata.weight_bits == 7


def test_answers_equal_a_reference_that_cannot_saturate(path: Path, astronaut: NDArray[np.uint8]) -> None:
    classifier = open_classifier(path, "cpu", threads=1)
    crops = crops_of_high_contrast(astronaut, classifier.bundle.metadata.input_size)
    expected, answers = float_reference(path, crops), classifier.classify(crops)
    # A tie may be rounded the other way. Saturation moves probabilities by more than 0.1.
    np.testing.assert_allclose(answers, expected, atol=0.02)
    np.testing.assert_array_equal(answers.argmax(axis=1), expected.argmax(axis=1))


@pytest.mark.parametrize(("bits", "exact"), [(None, True), (8, True), (7, False), (6, False)])
def test_files_that_do_not_declare_7_bits_are_opened_with_exact_kernels(
    tmp_path: Path, bits: int | None, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tiny_bundle(tmp_path / "tiny.onnx", metadata(weight_bits=bits))
    opened: list[onnxruntime.InferenceSession] = []
    original = onnxruntime.InferenceSession

    def recorded(*arguments: object, **named: object) -> onnxruntime.InferenceSession:
        opened.append(original(*arguments, **named))
        return opened[-1]

    monkeypatch.setattr(onnxruntime, "InferenceSession", recorded)
    open_classifier(path, "cpu", threads=1)
    assert is_exact(opened[-1]) == exact


def is_exact(session: onnxruntime.InferenceSession) -> bool:
    try:
        return bool(session.get_session_options().get_session_config_entry("session.x64quantprecision") == "1")
    except RuntimeError:  # the entry was never set
        return False
