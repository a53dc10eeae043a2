import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from fer_service.classification.classifier import open_classifier
from fer_service.contract.bundle import Metadata, Metrics
from fer_training.data import FaceDataset
from fer_training.errors import DataError, ExportError
from fer_training.tasks.emotion.card import card_text
from fer_training.tasks.emotion.evaluate import probabilities_of
from fer_training.tasks.emotion.labelled_images import evaluate_file
from fer_training.tasks.emotion.quantize import Kind, variant
from onnx import numpy_helper

from tests.training.synthetic import write_parquet

Exported = tuple[Path, Metadata]
Smaller = tuple[Path, Kind]
# Maximum share of the source's bytes, maximum difference of a probability, a type of weights, text of the card.
KINDS: dict[Kind, tuple[float, float, int, str]] = {
    "int8": (0.5, 0.5, onnx.TensorProto.INT8, "7-bit weights"),
    "fp16-weights": (0.6, 0.01, onnx.TensorProto.FLOAT16, "stored as fp16"),
    "fp16": (0.6, 0.01, onnx.TensorProto.FLOAT16, "computed in fp16"),
}


def made(source: Path, out: Path, data: Path, *, kind: Kind, force: bool = True, limit: float = 0.005) -> None:
    variant(source, out, data, kind=kind, calibration_size=28, force=force, limit=limit)


@pytest.fixture(scope="module", params=KINDS)
def smaller(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    exported: Exported,
    parquet_file: Path,
) -> Smaller:
    out = tmp_path_factory.mktemp("smaller") / "deep" / "smaller.onnx"
    made(exported[0], out, parquet_file, kind=request.param)
    return out, request.param


def weights(path: Path) -> dict[int, int]:
    """Bytes of the initializers by type."""
    sizes: dict[int, int] = {}
    for tensor in onnx.load(path).graph.initializer:
        sizes[tensor.data_type] = sizes.get(tensor.data_type, 0) + len(tensor.raw_data)
    return sizes


def test_metadata_inputs_and_outputs_are_kept(smaller: Smaller, exported: Exported) -> None:
    before, after = (open_classifier(path, "cpu", 1).bundle.metadata for path in (exported[0], smaller[0]))
    changed = {"metrics", "deduplicated", "uncertain_below", "accepted", "variant", "weight_bits"}
    assert after.model_dump(exclude=changed) == before.model_dump(exclude=changed)
    first, second = (onnx.load(path).graph for path in (exported[0], smaller[0]))
    assert [str(value) for value in (*second.input, *second.output)] == [
        str(value) for value in (*first.input, *first.output)
    ]


def test_its_weights_take_about_half_the_bytes_at_most(smaller: Smaller, exported: Exported) -> None:
    path, kind = smaller
    share, _, stored, _ = KINDS[kind]
    before, after = sum(weights(exported[0]).values()), weights(path)
    assert sum(after.values()) < before * share
    assert stored in after
    assert set(path.parent.iterdir()) == {path, path.with_suffix(".md")}


def test_its_answers_are_close_to_the_source(smaller: Smaller, exported: Exported, faces: FaceDataset) -> None:
    path, kind = smaller
    validation = faces.split("PublicTest")
    before, after = (
        probabilities_of(open_classifier(file, "cpu", 1), validation.images) for file in (exported[0], path)
    )
    assert not np.array_equal(before, after)
    assert np.abs(before - after).max() < KINDS[kind][1]
    np.testing.assert_allclose(after.sum(axis=1), 1, atol=1e-5)


def test_its_metadata_holds_its_own_figures(smaller: Smaller, parquet_file: Path) -> None:
    metadata = open_classifier(smaller[0], "cpu", 1).bundle.metadata
    evaluation = evaluate_file(smaller[0], parquet_file, "PublicTest").evaluation
    measured = Metrics.model_validate(evaluation.model_dump())
    if smaller[1] == "fp16":  # measured on a copy that rounds every value to fp16, as a CPU does not
        assert measured.confusion == metadata.metrics.confusion
        assert measured.nll == pytest.approx(metadata.metrics.nll, abs=1e-3)
    else:
        assert measured == metadata.metrics


def test_its_card_names_the_variant(smaller: Smaller) -> None:
    path, kind = smaller
    metadata = open_classifier(path, "cpu", 1).bundle.metadata
    assert KINDS[kind][3] in metadata.variant
    assert path.with_suffix(".md").read_text(encoding="utf-8") == card_text(metadata)


def test_int8_weights_fit_7_bits_so_that_no_cpu_saturates(smaller: Smaller) -> None:
    path, kind = smaller
    metadata = open_classifier(path, "cpu", 1).bundle.metadata
    assert metadata.weight_bits == (7 if kind == "int8" else None)
    weights = [
        numpy_helper.to_array(tensor)
        for tensor in onnx.load(path).graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8
    ]
    assert bool(weights) == (kind == "int8")
    assert max((int(np.abs(each.astype(np.int32)).max()) for each in weights), default=0) <= 64


def test_int8_is_made_from_weights_stored_as_fp16_too(
    tmp_path: Path, exported: Exported, parquet_file: Path, faces: FaceDataset
) -> None:
    half, whole = tmp_path / "half.onnx", tmp_path / "whole.onnx"
    made(exported[0], half, parquet_file, kind="fp16-weights")
    made(half, tmp_path / "int8.onnx", parquet_file, kind="int8")
    made(exported[0], whole, parquet_file, kind="int8")
    one, other = (open_classifier(path, "cpu", 1) for path in (tmp_path / "int8.onnx", whole))
    assert one.bundle.metadata.variant == other.bundle.metadata.variant
    assert onnx.TensorProto.FLOAT16 not in weights(tmp_path / "int8.onnx")
    images = faces.split("PublicTest").images
    np.testing.assert_allclose(probabilities_of(one, images), probabilities_of(other, images), atol=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_loses_too_much_is_not_written_unless_forced(
    tmp_path: Path, exported: Exported, parquet_file: Path, kind: Kind
) -> None:
    out = tmp_path / "smaller.onnx"
    with pytest.raises(ExportError, match=r"points .* are allowed; use --force to write it anyway"):
        made(exported[0], out, parquet_file, kind=kind, force=False, limit=-1.0)
    assert not list(tmp_path.iterdir())
    made(exported[0], out, parquet_file, kind=kind, force=True, limit=-1.0)
    assert out.exists()


def test_logging_is_restored(smaller: Smaller) -> None:
    assert smaller[0].exists()
    assert logging.getLogger().isEnabledFor(logging.WARNING)


def test_what_would_be_lost_or_made_twice_is_refused(
    exported: Exported, smaller: Smaller, parquet_file: Path, tmp_path: Path
) -> None:
    path, kind = smaller
    with pytest.raises(ExportError, match="is the source, which would be lost"):
        made(exported[0], exported[0], parquet_file, kind="int8")
    with pytest.raises(ExportError, match=r"small\.md: give a name that ends in \.onnx"):
        made(exported[0], tmp_path / "small.md", parquet_file, kind="int8")
    if kind == "int8":
        with pytest.raises(ExportError, match="is INT8 already"):
            made(path, tmp_path / "twice.onnx", parquet_file, kind="int8")


def test_other_data_is_refused(exported: Exported, faces: FaceDataset, tmp_path: Path) -> None:
    fewer = replace(faces, splits=np.where(np.arange(len(faces)) % 3 == 0, "Training", faces.splits))
    write_parquet(fewer, tmp_path / "fewer.parquet")
    with pytest.raises(DataError, match=r"differs from the data that the model was made from: .* was scored on"):
        made(exported[0], tmp_path / "small.onnx", tmp_path / "fewer.parquet", kind="int8")
