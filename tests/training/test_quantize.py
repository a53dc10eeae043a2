import logging
from pathlib import Path

import numpy as np
import onnx
import pytest

from service.inference.bundle import Metadata
from service.inference.classifier import open_classifier
from training.card import card_text
from training.data import FaceDataset
from training.errors import ExportError
from training.evaluate import evaluate_file, probabilities_of
from training.quantize import variant

Exported = tuple[Path, Metadata]


def made(source: Path, out: Path, data: Path, *, fp16: bool, force: bool = True, limit: float = 0.005) -> None:
    variant(source, out, data, fp16=fp16, calibration_size=28, force=force, limit=limit)


@pytest.fixture(scope="module", params=[True, False], ids=["fp16", "int8"])
def smaller(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    exported: Exported,
    parquet_file: Path,
) -> tuple[Path, bool]:
    out = tmp_path_factory.mktemp("smaller") / "deep" / "smaller.onnx"
    made(exported[0], out, parquet_file, fp16=request.param)
    return out, request.param


def weights(path: Path) -> dict[int, int]:
    """Bytes of the initializers, by type."""
    sizes: dict[int, int] = {}
    for tensor in onnx.load(path).graph.initializer:
        sizes[tensor.data_type] = sizes.get(tensor.data_type, 0) + len(tensor.raw_data)
    return sizes


def test_the_contract_is_kept(smaller: tuple[Path, bool], exported: Exported) -> None:
    before, after = (open_classifier(path, "cpu", 1).bundle.metadata for path in (exported[0], smaller[0]))
    measured = {"metrics", "deduplicated", "uncertain_below", "accepted", "variant"}
    assert after.model_dump(exclude=measured) == before.model_dump(exclude=measured)
    first, second = (onnx.load(path).graph for path in (exported[0], smaller[0]))
    assert [str(value) for value in (*second.input, *second.output)] == [
        str(value) for value in (*first.input, *first.output)
    ]


def test_its_weights_take_at_most_about_half(smaller: tuple[Path, bool], exported: Exported) -> None:
    path, fp16 = smaller
    before, after = sum(weights(exported[0]).values()), weights(path)
    assert sum(after.values()) < before * (0.6 if fp16 else 0.5)
    assert (onnx.TensorProto.FLOAT16 if fp16 else onnx.TensorProto.INT8) in after
    assert set(path.parent.iterdir()) == {path, path.with_suffix(".md")}


def test_it_answers_nearly_as_the_whole_file(
    smaller: tuple[Path, bool], exported: Exported, faces: FaceDataset
) -> None:
    path, fp16 = smaller
    select = faces.split("PublicTest")
    before, after = (
        probabilities_of(open_classifier(file, "cpu", 1), select.images) for file in (exported[0], path)
    )
    assert not np.array_equal(before, after)
    assert np.abs(before - after).max() < (0.01 if fp16 else 0.5)
    np.testing.assert_allclose(after.sum(axis=1), 1, atol=1e-5)


def test_its_metadata_tells_its_own_figures(smaller: tuple[Path, bool], parquet_file: Path) -> None:
    metadata = open_classifier(smaller[0], "cpu", 1).bundle.metadata
    assert evaluate_file(smaller[0], parquet_file, "PublicTest") == metadata.metrics


def test_its_card_says_which_variant_it_is(smaller: tuple[Path, bool]) -> None:
    path, fp16 = smaller
    metadata = open_classifier(path, "cpu", 1).bundle.metadata
    assert ("fp16" if fp16 else "INT8") in metadata.variant
    assert path.with_suffix(".md").read_text(encoding="utf-8") == card_text(metadata)


@pytest.mark.parametrize("fp16", [True, False], ids=["fp16", "int8"])
def test_what_loses_too_much_is_not_written_unless_forced(
    tmp_path: Path, exported: Exported, parquet_file: Path, fp16: bool
) -> None:
    out = tmp_path / "smaller.onnx"
    with pytest.raises(ExportError, match=r"points .* are allowed; --force writes it all the same"):
        made(exported[0], out, parquet_file, fp16=fp16, force=False, limit=-1.0)
    assert not list(tmp_path.iterdir())
    made(exported[0], out, parquet_file, fp16=fp16, force=True, limit=-1.0)
    assert out.exists()


def test_logging_is_as_before(smaller: tuple[Path, bool]) -> None:
    assert smaller[0].exists()
    assert logging.getLogger().isEnabledFor(logging.WARNING)
