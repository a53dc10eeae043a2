import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fer_service.contract.bundle import METADATA_KEY, CropGeometry, Tensor, read_metadata
from fer_service.contract.errors import BundleError
from fer_service.system.files import file_sha256

from tests.fakes import LABELS, metadata

Entry = tuple[str, str, list[int | str]]
INPUT: Entry = ("faces", "tensor(uint8)", ["N", 48, 48, 3])
OUTPUT: Entry = ("probabilities", "tensor(float)", ["N", 3])


def fields(**changes: object) -> dict[str, Any]:
    about: dict[str, Any] = json.loads(metadata().model_dump_json(by_alias=True))
    return about | changes


def tensor(name: str, kind: str, shape: list[int | str]) -> Tensor:
    return SimpleNamespace(name=name, type=kind, shape=shape)


@dataclass
class FakeGraph:
    """An opened file; valid by default."""

    properties: Mapping[str, str] = field(default_factory=lambda: {METADATA_KEY: json.dumps(fields())})
    inputs: list[Tensor] = field(default_factory=lambda: [tensor(*INPUT)])
    outputs: list[Tensor] = field(default_factory=lambda: [tensor(*OUTPUT)])


def saying(**changes: object) -> FakeGraph:
    return FakeGraph({METADATA_KEY: json.dumps(fields(**changes))})


def without(name: str) -> FakeGraph:
    return FakeGraph({METADATA_KEY: json.dumps({key: value for key, value in fields().items() if key != name})})


def test_valid_metadata_is_read() -> None:
    about = read_metadata(FakeGraph(), "tiny.onnx")
    assert about == metadata()
    assert about.labels == LABELS


def test_unknown_fields_are_ignored() -> None:
    crop = {"frame": 1.0, "align": False, "interpolation": "linear", "border": "replicate", "new": 1}
    assert read_metadata(saying(invented_later={"a": 1}, crop=crop), "tiny.onnx") == metadata()


def test_the_crop_has_defaults() -> None:
    assert read_metadata(saying(crop={}), "tiny.onnx").crop == CropGeometry()


def test_any_number_of_classes_and_any_names_are_accepted() -> None:
    labels = [f"Gefühl {number}" for number in range(11)]
    graph = saying(labels=labels, input_size=64)
    graph.inputs, graph.outputs = (
        [tensor("faces", "tensor(uint8)", ["batch", 64, 64, 3])],
        [tensor("probabilities", "tensor(float)", ["batch", 11])],
    )
    assert read_metadata(graph, "eleven.onnx").labels == tuple(labels)


@pytest.mark.parametrize(
    ("graph", "text"),
    [
        (FakeGraph({}), r"not a model file of fer-service: missing metadata property 'fer'.*fer-train export"),
        (FakeGraph({METADATA_KEY: "{no json"}), r"property 'fer': the whole property: invalid JSON"),
        (FakeGraph({METADATA_KEY: "[]"}), r"property 'fer': the whole property"),
        (without("labels"), r"labels: missing"),
        (without("input_size"), r"input_size: missing"),
        (without("licence"), r"licence: missing"),
        (saying(schema=2), r"schema: .*1"),
        (saying(labels=["happy"]), r"labels: .*at least 2"),
        (saying(labels=["happy", "sad", "happy"]), r"duplicate labels"),
        (saying(input_size=4), r"input_size: .*8"),
        (saying(input_size="large"), r"input_size: must be a whole number, not large"),
        (saying(uncertain_below=1.5), r"uncertain_below: "),
        (saying(temperature=0), r"temperature: "),
        (saying(weight_bits=9), r"weight_bits: .*8"),
        (saying(crop={"frame": 0}), r"crop\.frame: "),
        (saying(crop={"interpolation": "nearest"}), r"crop\.interpolation: .*'linear' or 'cubic'"),
        (saying(data={"name": "a", "splits": {"train": "many"}, "sha256": ""}), r"data\.splits\.train: "),
    ],
)
def test_invalid_metadata_is_named(graph: FakeGraph, text: str) -> None:
    with pytest.raises(BundleError, match=rf"tiny\.onnx.*{text}"):
        read_metadata(graph, "tiny.onnx")


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ([("images", *INPUT[1:])], r"input must be faces: uint8 \[N, 48, 48, 3\], not images"),
        ([("faces", "tensor(float)", ["N", 48, 48, 3])], r"input must be .*not faces: tensor\(float\)"),
        ([("faces", "tensor(uint8)", ["N", 64, 64, 3])], r"input must be .*\['N', 64, 64, 3\]"),
        ([("faces", "tensor(uint8)", ["N", 3, 48, 48])], r"input must be .*\['N', 3, 48, 48\]"),
        ([("faces", "tensor(uint8)", ["N", "H", "W", 3])], r"input must be .*\['N', 'H', 'W', 3\]"),
        ([("faces", "tensor(uint8)", [])], r"input must be .*\[\]"),
        (
            [("faces", "tensor(uint8)", [8, 48, 48, 3])],
            r"batch size of the input is fixed at 8; it must be symbolic",
        ),
        ([INPUT, INPUT], r"has exactly one input, this file has 2"),
        ([], r"has exactly one input, this file has 0"),
    ],
)
def test_an_invalid_input_is_named(inputs: list[Entry], text: str) -> None:
    with pytest.raises(BundleError, match=rf"tiny\.onnx: .*{text}"):
        read_metadata(FakeGraph(inputs=[tensor(*entry) for entry in inputs]), "tiny.onnx")


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ([("logits", *OUTPUT[1:])], r"output must be probabilities: float32 \[N, 3\].*not logits"),
        ([("probabilities", "tensor(float16)", ["N", 3])], r"output must be .*tensor\(float16\)"),
        ([("probabilities", "tensor(float)", ["N", 7])], r"\[N, 3\], one column per label, .*\['N', 7\]"),
        ([("probabilities", "tensor(float)", ["N", "C"])], r"output must be .*\['N', 'C'\]"),
        ([OUTPUT, ("features", "tensor(float)", ["N", 512])], r"has exactly one output, this file has 2"),
    ],
)
def test_an_invalid_output_is_named(outputs: list[Entry], text: str) -> None:
    with pytest.raises(BundleError, match=rf"tiny\.onnx: .*{text}"):
        read_metadata(FakeGraph(outputs=[tensor(*entry) for entry in outputs]), "tiny.onnx")


def test_older_files_do_not_declare_the_bits_of_their_weights() -> None:
    assert read_metadata(without("weight_bits"), "tiny.onnx").weight_bits is None


def test_the_sha256_is_that_of_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1_000_000)
    assert file_sha256(path) == hashlib.sha256(b"x" * 1_000_000).hexdigest()


@pytest.mark.parametrize(
    "labels",
    [
        ("happy", ""),
        ("happy", " sad"),
        ("happy", "\x1b[31msad"),
        ("happy", "sad\n"),
        ("happy", "\u202edas"),
        ("happy", "x" * 101),
        tuple(map(str, range(1001))),
    ],
)
def test_labels_can_be_shown_anywhere(labels: tuple[str, ...]) -> None:
    with pytest.raises(BundleError, match="labels") as caught:
        read_metadata(saying(labels=labels), "tiny.onnx")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["name", "version"])
def test_the_name_of_a_model_can_be_shown_anywhere(name: str) -> None:
    with pytest.raises(BundleError, match=name) as caught:
        read_metadata(saying(**{name: "a\x1b[2Jb"}), "tiny.onnx")
    assert str(caught.value).isprintable()


def test_metadata_has_a_maximum_length() -> None:
    with pytest.raises(BundleError, match=r"tiny\.onnx: metadata property 'fer' has 2,00\d,\d+ characters"):
        read_metadata(FakeGraph({METADATA_KEY: json.dumps(fields(description="x" * 2_000_000))}), "tiny.onnx")


def test_numbers_are_finite() -> None:
    with pytest.raises(BundleError, match="temperature"):
        read_metadata(FakeGraph({METADATA_KEY: json.dumps(fields(temperature=float("inf")))}), "tiny.onnx")
