import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fer_service.contract.bundle import METADATA_KEY
from fer_service.contract.errors import DetectorError, StartError
from fer_service.detection.choice import choose_detector
from fer_service.onnx.model_file import _FIELDS, property_names, read_model_file, refers_outside
from fer_service.onnx.session import Session
from google.protobuf.descriptor import Descriptor
from onnx import TensorProto, helper

MESSAGES = {
    "model": "ModelProto",
    "training": "TrainingInfoProto",
    "graph": "GraphProto",
    "function": "FunctionProto",
    "node": "NodeProto",
    "attribute": "AttributeProto",
    "sparse": "SparseTensorProto",
    "tensor": "TensorProto",
}


def outside(name: str = "w", location: str = "weights.bin") -> TensorProto:
    """A tensor of four numbers in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "offset": "0", "length": "16"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def model(
    nodes: list[onnx.NodeProto],
    tensors: tuple[TensorProto, ...] = (),
    functions: tuple[onnx.FunctionProto, ...] = (),
) -> onnx.ModelProto:
    """A model from x to y, four numbers each."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], list(tensors))
    sets = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=sets, functions=list(functions), ir_version=10)


def with_outside_data() -> Iterator[Any]:
    """Models with a tensor in another file, in every place that onnxruntime reads one from."""
    add, constant = (
        helper.make_node("Add", ["x", "w"], ["y"]),
        helper.make_node("Constant", [], ["w"], value=outside()),
    )
    yield pytest.param(model([add], (outside(),)), id="initializer")
    yield pytest.param(model([constant, add]), id="constant")
    ends = [helper.make_tensor_value_info("z", TensorProto.FLOAT, [4])]
    branch = helper.make_graph([helper.make_node("Add", ["x", "w"], ["z"])], "b", [], ends, [outside()])
    choice = helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)
    yield pytest.param(model([choice], (helper.make_tensor("yes", TensorProto.BOOL, [], [1]),)), id="branch")
    within = helper.make_node("Add", ["x", "w"], ["y"])
    function = helper.make_function("own", "F", ["x"], ["y"], [constant, within], [helper.make_opsetid("", 20)])
    yield pytest.param(model([helper.make_node("F", ["x"], ["y"], domain="own")], (), (function,)), id="function")
    compiled = helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft", ep_cache_context="engine.bin")
    yield pytest.param(model([compiled]), id="compiled graph")


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the weights, which is the current one too."""
    np.zeros(4, np.float32).tofile(tmp_path / "weights.bin")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("content", [*with_outside_data()])
def test_a_file_that_refers_to_another_is_refused(beside: Path, content: onnx.ModelProto) -> None:
    beside.write_bytes(content.SerializeToString())
    with pytest.raises(StartError, match=r"model\.onnx: it has external data, which its SHA-256 does not cover"):
        Session.open(beside, device="cpu", threads=1)


def test_a_file_with_all_its_weights_is_opened_and_hashed(beside: Path) -> None:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4], [1, 2, 3, 4])
    content = model([helper.make_node("Add", ["x", "w"], ["y"])], (weights,)).SerializeToString()
    beside.write_bytes(content)
    session = Session.open(beside, device="cpu", threads=1)
    assert session.sha256 == hashlib.sha256(content).hexdigest()
    beside.write_bytes(b"another file of this name")
    # A thread that runs it for the first time now still runs what was opened.
    session._free.clear()
    (answer,) = session.run(["y"], {"x": np.zeros(4, np.float32)})
    assert answer.tolist() == [1, 2, 3, 4]


def test_another_spelling_of_the_location_is_found_too() -> None:
    content = model([helper.make_node("Add", ["x", "w"], ["y"])], (outside(),)).SerializeToString()
    # The number of the field, 14, and its value, 1, as integers of more bytes than needed.
    assert content.count(b"\x70\x01") == 1
    for longer in (b"\xf0\x00\x01", b"\x70\x81\x00", b"\xf0\x80\x80\x80\x00\x81\x80\x00"):
        tensor = outside().SerializeToString().replace(b"\x70\x01", longer)
        assert TensorProto.FromString(tensor).data_location == TensorProto.EXTERNAL
        graph = b"\x2a" + bytes([len(tensor)]) + tensor
        assert refers_outside(b"\x3a" + bytes([len(graph)]) + graph)


def test_the_fields_are_those_of_onnx() -> None:
    kinds = {full: kind for kind, full in MESSAGES.items()}
    for kind, full in MESSAGES.items():
        descriptor: Descriptor = getattr(onnx, full).DESCRIPTOR
        children = {
            field.number: kinds[field.message_type.name]
            for field in descriptor.fields
            if field.message_type is not None and field.message_type.name in kinds
        }
        assert _FIELDS[kind] == children
    assert TensorProto.DESCRIPTOR.fields_by_name["data_location"].number == 14
    assert onnx.NodeProto.DESCRIPTOR.fields_by_name["op_type"].number == 4
    assert onnx.ModelProto.DESCRIPTOR.fields_by_name["metadata_props"].number == 14
    assert onnx.StringStringEntryProto.DESCRIPTOR.fields_by_name["key"].number == 1


def test_the_names_of_properties_are_read_without_a_session(tmp_path: Path, tiny_bundle: Path) -> None:
    add = model(
        [helper.make_node("Add", ["x", "w"], ["y"])], (helper.make_tensor("w", TensorProto.FLOAT, [4], [1] * 4),)
    )
    add.doc_string = "not a property: fer-detector"
    helper.set_model_props(add, {"one": "fer-landmarks", "zwölf": "12"})
    onnx.save(add, tmp_path / "add.onnx")
    assert property_names(tmp_path / "add.onnx") == {"one", "zwölf"}
    assert property_names(tiny_bundle) == {METADATA_KEY}
    (tmp_path / "half.onnx").write_bytes(tiny_bundle.read_bytes()[:-9])
    for other in ("half.onnx", "missing.onnx", "."):
        assert property_names(tmp_path / other) == frozenset()


@pytest.mark.parametrize("content", [b"", b"hello " * 100, b"\x3a\xff\x01", b"\x08", b"\x3b\x3c", b"\xff" * 20])
def test_damage_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(StartError, match=r"model\.onnx: not an ONNX file that onnxruntime can open: it is "):
        read_model_file(tmp_path / "model.onnx", StartError)


def unreadable(folder: Path) -> dict[str, Path]:
    """Paths that are no readable file."""
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe")
    return {
        "Is a directory": folder,
        "Not a regular file": folder / "pipe",
        "Too many levels of symbolic links": folder / "loop",
        "File name too long": folder / ("x" * 300),
        "Not a directory": folder / "pipe" / "model.onnx",
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_what_is_no_readable_file_is_one_sentence(tmp_path: Path) -> None:
    for reason, path in unreadable(tmp_path).items():
        with pytest.raises(StartError, match=reason):
            Session.open(path, device="cpu", threads=1)
        with pytest.raises(DetectorError, match=reason):
            choose_detector(str(path), 640)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_one_sentence(tmp_path: Path, tiny_bundle: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    (locked / "model.onnx").write_bytes(tiny_bundle.read_bytes())
    locked.chmod(0)
    with pytest.raises(DetectorError, match="Permission denied"):
        choose_detector(str(locked / "model.onnx"), 640)
    locked.chmod(0o700)


def test_a_link_is_followed(tmp_path: Path, tiny_bundle: Path) -> None:
    (tmp_path / "link.onnx").symlink_to(tiny_bundle)
    assert read_model_file(tmp_path / "link.onnx", StartError) == tiny_bundle.read_bytes()


def test_a_git_lfs_pointer_is_named_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 96\n")
    with pytest.raises(StartError, match=r"model\.onnx: it is a Git LFS pointer.* git lfs pull"):
        read_model_file(path, StartError)


def test_a_checkpoint_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(StartError, match=r"best\.ckpt: it is a checkpoint .*`fer-train export`"):
        read_model_file(path, StartError)
