import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import pytest
from fer_service.classification.classifier import OnnxClassifier, open_classifier
from fer_service.contract.bundle import Bundle
from fer_service.contract.errors import BundleError
from fer_service.onnx.buckets import bucket, buckets
from fer_service.onnx.session import Session
from fer_service.system.files import file_sha256
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.conftest import write_tiny_bundle
from tests.fakes import metadata
from tests.service.conftest import Pixels

COLOURS = {"angry": (255, 0, 0), "happy": (0, 255, 0), "neutral": (0, 0, 255)}


def crop(colour: tuple[int, ...], size: int = 48) -> Pixels:
    return np.full((size, size, 3), colour, np.uint8)


class FakeSession:
    """Returns the mean of each crop and records its inputs."""

    def __init__(self, on_gpu: bool) -> None:
        self.on_gpu = on_gpu
        self.provider = "CUDAExecutionProvider" if on_gpu else "CPUExecutionProvider"
        self.fed: list[NDArray[np.uint8]] = []
        self.graphs: list[int] = []
        self.inside = threading.Lock()

    def run(self, outputs: Sequence[str], feeds: Mapping[str, NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        assert not self.on_gpu
        assert list(outputs) == ["probabilities"]
        self.fed.append(feeds["faces"])
        return [feeds["faces"].mean(axis=(1, 2), dtype=np.float32)]

    def bound(
        self, inputs: Mapping[str, NDArray[np.uint8]], outputs: Mapping[str, NDArray[np.float32]], graph_id: int
    ) -> Callable[..., dict[str, NDArray[np.float32]]]:
        """A run that accepts only the shape it was made for."""
        assert outputs["probabilities"].shape == (len(inputs["faces"]), 3)
        self.graphs.append(graph_id)

        def run(faces: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
            assert faces.shape == inputs["faces"].shape
            assert self.inside.acquire(blocking=False), "two runs at a time share the same arrays"
            self.fed.append(faces)
            answer = faces.mean(axis=(1, 2), dtype=np.float32)
            self.inside.release()
            return {"probabilities": answer}

        return run


def wrapped(session: FakeSession) -> OnnxClassifier:
    return OnnxClassifier(cast(Session, session), Bundle(Path("tiny.onnx"), "0" * 64, metadata()))


def test_a_bundle_predicts_the_right_labels(tiny_bundle: Path) -> None:
    classifier = open_classifier(tiny_bundle, "cpu", 1)
    answers = classifier.classify([crop(colour) for colour in COLOURS.values()])
    labels = classifier.bundle.metadata.labels
    assert [labels[row.argmax()] for row in answers] == list(COLOURS)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


def test_a_bundle_has_its_path_hash_and_metadata(tiny_bundle: Path) -> None:
    classifier = open_classifier(tiny_bundle, "cpu", 1)
    assert classifier.bundle == Bundle(tiny_bundle, file_sha256(tiny_bundle), metadata())
    assert classifier.provider == "CPUExecutionProvider"


def test_a_batch_gives_the_same_answers_as_single_crops(tiny_bundle: Path) -> None:
    classifier = open_classifier(tiny_bundle, "cpu", 1)
    crops = list(np.random.default_rng(0).integers(0, 256, (7, 48, 48, 3), np.uint8))
    alone = np.concatenate([classifier.classify([each]) for each in crops])
    np.testing.assert_allclose(classifier.classify(crops), alone, atol=1e-6)


def test_other_sizes_and_labels_are_served(tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path / "two.onnx", metadata(labels=("no", "yes"), input_size=96))
    answers = open_classifier(path, "cpu", 1).classify([crop((0, 255, 0), 96)])
    assert answers.shape == (1, 2)
    assert answers[0, 1] > 0.9


def test_metadata_that_does_not_match_the_graph_is_refused(tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path / "tiny.onnx", metadata())
    path.write_bytes(path.read_bytes().replace(b'"input_size":48', b'"input_size":64'))
    with pytest.raises(BundleError, match=r"tiny\.onnx: the input must be faces: uint8 \[N, 64, 64, 3\]"):
        open_classifier(path, "cpu", 1)


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8), (33, 64)])
def test_a_gpu_batch_is_padded_with_black_to_a_power_of_two(count: int, rows: int) -> None:
    session = FakeSession(on_gpu=True)
    answers = wrapped(session).classify([crop((9, 9, 9))] * count)
    (fed,) = session.fed
    assert fed.shape == (rows, 48, 48, 3)
    assert (fed[:count] == 9).all()
    assert not fed[count:].any()
    assert answers.shape == (count, 3)
    assert (answers == 9).all()


def test_a_cpu_batch_is_not_padded() -> None:
    session = FakeSession(on_gpu=False)
    wrapped(session).classify([crop((9, 9, 9))] * 5)
    assert session.fed[0].shape[0] == 5


@pytest.mark.parametrize(("on_gpu", "rows"), [(True, [1, 2, 4, 8, 16]), (False, [1])])
def test_warming_runs_every_needed_shape(on_gpu: bool, rows: list[int]) -> None:
    session = FakeSession(on_gpu)
    wrapped(session).warm(12)
    assert [fed.shape[0] for fed in session.fed] == rows


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 2), (3, 4), (4, 4), (63, 64), (64, 64), (65, 128)])
def test_a_bucket_is_the_next_power_of_two(count: int, expected: int) -> None:
    assert bucket(count) == expected
    assert buckets(count)[-1] == expected
    assert buckets(count) == sorted(bucket(2**power) for power in range(len(buckets(count))))


def test_a_gpu_binds_each_bucket_once() -> None:
    session = FakeSession(on_gpu=True)
    classifier = wrapped(session)
    classifier.warm(8)
    for count in (1, 3, 5, 8, 4):
        classifier.classify([crop((9, 9, 9))] * count)
    assert sorted(session.graphs) == [1, 2, 4, 8]


def test_threads_take_turns_on_a_gpu() -> None:
    classifier = wrapped(FakeSession(on_gpu=True))
    with ThreadPoolExecutor(8) as pool:
        batches = [[crop((level, 0, 0))] * 3 for level in range(64)]
        answers = list(pool.map(classifier.classify, batches))
    assert [float(answer[0, 0]) for answer in answers] == list(range(64))


@pytest.mark.parametrize(("change", "shown"), [("Log", "nan"), ("Neg", "-0.33"), ("Ceil", "1.0, 1.0")])
def test_a_graph_that_answers_no_probabilities_is_refused(
    tiny_bundle: Path, tmp_path: Path, change: str, shown: str
) -> None:
    model = onnx.load(tiny_bundle)
    model.graph.node[-1].output[0] = "before"
    if change == "Log":  # of numbers below 0
        model.graph.node.append(helper.make_node("Neg", ["before"], ["below"]))
        model.graph.node.append(helper.make_node("Log", ["below"], ["probabilities"]))
    else:
        model.graph.node.append(helper.make_node(change, ["before"], ["probabilities"]))
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(
        BundleError, match=rf"odd\.onnx: the output is not one row of probabilities.*{shown}"
    ) as caught:
        open_classifier(tmp_path / "odd.onnx", "cpu", 1)
    assert "\n" not in str(caught.value)


def test_a_graph_that_does_not_run_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    model = onnx.load(tiny_bundle)
    model.graph.node[-1].output[0] = "before"
    model.graph.initializer.append(helper.make_tensor("shape", TensorProto.INT64, [2], [7, 3]))
    model.graph.node.append(helper.make_node("Reshape", ["before", "shape"], ["probabilities"]))
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    for size in ("N", 3):
        dimension = model.graph.output[0].type.tensor_type.shape.dim.add()
        setattr(dimension, "dim_param" if size == "N" else "dim_value", size)
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(BundleError, match=r"odd\.onnx") as caught:
        open_classifier(tmp_path / "odd.onnx", "cpu", 1)
    assert "\n" not in str(caught.value)
