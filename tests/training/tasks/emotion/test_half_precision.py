from pathlib import Path

import numpy as np
import onnx
import pytest
from fer_service.contract.bundle import Metadata
from fer_service.onnx.session import Session
from fer_training.data import FaceDataset
from fer_training.tasks.emotion.half_precision import to_fp16
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests.conftest import write_tiny_bundle
from tests.fakes import metadata

FP32_NODES = {"Softmax", "Div", "Pow", "Gemm"}  # nodes that stay in fp32
Files = tuple[Path, Path, Path]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, exported: tuple[Path, Metadata]) -> Files:
    """The exported file, its fp16 variant, and the fp32 file that simulates the fp16 variant."""
    folder = tmp_path_factory.mktemp("half")
    out, rounded = folder / "half.onnx", folder / "rounded.onnx"
    to_fp16(exported[0], out, rounded)
    return exported[0], out, rounded


@pytest.fixture(scope="module")
def crops(faces: FaceDataset) -> np.ndarray:
    return np.repeat(faces.split("PublicTest").images, 3, axis=3)


def types(path: Path) -> dict[str, int]:
    """Element type of every value in a file."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True).graph
    found = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}
    return found | {tensor.name: tensor.data_type for tensor in graph.initializer}


def answers(path: Path, crops: np.ndarray) -> np.ndarray:
    return Session.open(path, device="cpu", threads=1).run(["probabilities"], {"faces": crops})[0]


def test_every_convolution_takes_and_gives_halves(files: Files) -> None:
    found = types(files[1])
    convolutions = [node for node in onnx.load(files[1]).graph.node if node.op_type == "Conv"]
    assert len(convolutions) > 10
    for node in convolutions:
        assert {found[name] for name in (*node.input, *node.output)} == {TensorProto.FLOAT16}


def test_what_is_delicate_stays_in_single_precision(files: Files) -> None:
    found = types(files[1])
    delicate = [node for node in onnx.load(files[1]).graph.node if node.op_type in FP32_NODES]
    assert {node.op_type for node in delicate} >= {"Softmax", "Gemm", "Div"}
    for node in delicate:
        assert {found[name] for name in (*node.input, *node.output)} == {TensorProto.FLOAT}


def test_only_the_seams_have_casts(files: Files) -> None:
    kinds = [node.op_type for node in onnx.load(files[1]).graph.node]
    # Casts: pixels to fp32, to fp16 before the network, to fp32 after it.
    assert kinds.count("Cast") == 3


def test_it_answers_as_the_whole_file_does(files: Files, crops: np.ndarray) -> None:
    whole, half, _ = (answers(path, crops) for path in files)
    assert 0 < np.abs(whole - half).max() < 2e-3
    np.testing.assert_allclose(half.sum(axis=1), 1, atol=1e-6)


def test_the_twin_answers_as_arithmetic_in_halves_does(files: Files, crops: np.ndarray) -> None:
    whole, half, rounded = files
    computed = ReferenceEvaluator(onnx.load(half)).run(None, {"faces": crops[:7]})[0]
    simulated = answers(rounded, crops[:7])
    error = np.abs(simulated - answers(whole, crops[:7])).max()
    assert error > 0
    assert np.abs(simulated - computed).max() < 2e-3


def test_the_twin_overflows_where_a_gpu_would(tmp_path: Path) -> None:
    # 255 × 300 exceeds the range of fp16. A CPU runs the file itself in fp32 and would not notice.
    source, half, rounded = (tmp_path / f"{name}.onnx" for name in ("source", "half", "rounded"))
    model = onnx.load(write_tiny_bundle(source, metadata()))
    weights = numpy_helper.from_array(np.eye(3, dtype=np.float32) * 300, "large")
    back = numpy_helper.from_array(np.float32(1 / 300), "back")
    model.graph.initializer.extend([weights, back])
    nodes = list(model.graph.node)
    nodes[2].input[0] = "restored"
    added = [
        helper.make_node("MatMul", ["mean", "large"], ["enlarged"], name="enlarge"),
        helper.make_node("Mul", ["enlarged", "back"], ["restored"], name="restore"),
    ]
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:2], *added, *nodes[2:]])
    onnx.save(model, source)
    to_fp16(source, half, rounded)
    white = np.full((1, 48, 48, 3), 255, np.uint8)
    assert np.isfinite(answers(half, white)).all()
    assert np.isnan(answers(rounded, white)).any()


def test_two_layers_that_take_the_same_half_share_its_cast(tmp_path: Path) -> None:
    source, half, rounded = (tmp_path / f"{name}.onnx" for name in ("source", "half", "rounded"))
    weights = [numpy_helper.from_array(np.eye(3, dtype=np.float32), name) for name in ("trunk", "left", "right")]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["faces"], ["levels"], name="levels", to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["levels", "trunk"], ["features"], name="trunk"),
            helper.make_node("MatMul", ["features", "left"], ["one"], name="left"),
            helper.make_node("MatMul", ["features", "right"], ["other"], name="right"),
            helper.make_node("Add", ["one", "other"], ["probabilities"], name="sum"),
        ],
        "two heads",
        [helper.make_tensor_value_info("faces", TensorProto.UINT8, ["N", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 3])],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), source)
    to_fp16(source, half, rounded)
    levels = np.array([[1, 2, 250]], np.uint8)
    assert answers(half, levels).tolist() == answers(rounded, levels).tolist() == [[2, 4, 500]]
