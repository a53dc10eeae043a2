import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import pytest
from fer_service.assets import MODELS, int8_file
from google.protobuf import text_format

from tests.service.cli.conftest import Run

WRITTEN = """\
name: "emotion"
backend: "onnxruntime"
max_batch_size: 64
input { name: "faces" data_type: TYPE_UINT8 dims: [ 48, 48, 3 ] }
output { name: "probabilities" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "labels.txt" }
# Crops that wait at the same time share a batch; none waits for others.
dynamic_batching { }
instance_group { kind: KIND_CPU }
"""


def test_the_model_becomes_a_repository(run: Run, tmp_path: Path, tiny_bundle: Path) -> None:
    ended = run("model", "export-triton", tmp_path / "new" / "repository")
    folder = tmp_path / "new" / "repository" / "emotion"
    assert (ended.status, ended.out) == (0, f"{folder}\n")
    assert (folder / "config.pbtxt").read_text() == WRITTEN
    assert (folder / "labels.txt").read_text() == "angry\nhappy\nneutral\n"
    assert (folder / "1" / "model.onnx").read_bytes() == tiny_bundle.read_bytes()


def schema() -> ModuleType:
    """Triton's model_config.proto, without the gRPC client beside which it comes."""
    package = importlib.util.find_spec("tritonclient")
    if package is None or package.origin is None:
        pytest.skip("tritonclient is not installed")
    path = Path(package.origin).parent / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("device", "kind"), [("cpu", "KIND_CPU"), ("cuda", "KIND_GPU"), ("auto", None)])
def test_the_configuration_has_tritons_schema_and_the_shapes_of_the_file(
    run: Run, tmp_path: Path, model: str, device: str, kind: str | None
) -> None:
    proto: Any = schema()
    assert run("model", "export-triton", tmp_path, "--model", model, "--device", device).status == 0
    text = (tmp_path / "emotion" / "config.pbtxt").read_text()
    config = text_format.Parse(text, proto.ModelConfig())
    file = tmp_path / "emotion" / "1" / "model.onnx"
    assert file.read_bytes() == (int8_file(MODELS[model]) if device == "cpu" else MODELS[model]).read_bytes()
    graph = onnx.load(file).graph
    for described, tensors in ((config.input, graph.input), (config.output, graph.output)):
        (one,), (tensor,) = described, tensors
        assert one.name == tensor.name
        assert list(one.dims) == [size.dim_value for size in tensor.type.tensor_type.shape.dim][1:]
    assert config.input[0].data_type == proto.TYPE_UINT8
    assert config.output[0].data_type == proto.TYPE_FP32
    assert config.HasField("dynamic_batching")
    kinds = [proto.ModelInstanceGroup.Kind.Name(group.kind) for group in config.instance_group]
    assert kinds == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "nowhere.onnx"), "nowhere.onnx: no such file"),
        (("--device", "tpu"), "FER_DEVICE=tpu"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    ended = run("model", "export-triton", tmp_path, *arguments)
    assert ended.status == 1
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = run("model", "export-triton", tmp_path / "file")
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert "cannot write" in ended.err
