from pathlib import Path

import numpy as np
import onnx
import pytest
from fer_service import assets
from fer_service.classification.classifier import OnnxClassifier, open_classifier
from fer_service.imaging.crop import Square, crop
from fer_training.data.labels import FER2013_LABELS
from fer_training.engine.recipe import available_recipes
from fer_training.tasks.emotion.card import card_text
from fer_training.tasks.emotion.robustness import CONDITIONS
from numpy.typing import NDArray

SHIPPED = [path for model in assets.MODELS.values() for path in (model, assets.int8_file(model))]


@pytest.fixture(scope="module", params=SHIPPED, ids=[path.stem for path in SHIPPED])
def path(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture(scope="module")
def classifier(path: Path) -> OnnxClassifier:
    return open_classifier(path, "cpu", threads=1)


def test_the_shipped_model_has_the_labels_of_fer2013(classifier: OnnxClassifier) -> None:
    assert classifier.bundle.metadata.labels == FER2013_LABELS


def test_its_recipe_is_part_of_the_package(classifier: OnnxClassifier) -> None:
    assert classifier.bundle.metadata.recipe in available_recipes()


def test_its_graph_has_no_shape_operators(path: Path) -> None:
    assert {node.op_type for node in onnx.load(path).graph.node}.isdisjoint({"Shape", "Gather"})


def test_it_is_small_enough_for_a_repository(path: Path) -> None:
    assert path.stat().st_size <= 25_000_000


@pytest.mark.parametrize("count", [1, 2, 17])
def test_its_rows_sum_to_1_for_any_batch_size(classifier: OnnxClassifier, count: int) -> None:
    size = classifier.bundle.metadata.input_size
    crops = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    rows = classifier.classify(list(crops))
    assert rows.shape == (count, 7)
    assert rows.min() >= 0
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)


def test_it_is_calibrated_and_equals_its_network(classifier: OnnxClassifier) -> None:
    about = classifier.bundle.metadata
    assert about.metrics.split == "PublicTest"
    assert about.metrics.ece15 < 0.05
    assert about.parity.max_difference <= 1e-4
    assert 0 < about.uncertain_below < 1


def test_its_card_matches_its_metadata(path: Path, classifier: OnnxClassifier) -> None:
    assert path.with_suffix(".md").read_text(encoding="utf-8") == card_text(classifier.bundle.metadata)


def test_its_robustness_is_measured_and_detection_costs_little_accuracy(classifier: OnnxClassifier) -> None:
    about = classifier.bundle.metadata
    assert set(about.robustness) == set(CONDITIONS)
    assert about.end_to_end is not None
    assert about.end_to_end.direct - about.end_to_end.accuracy <= 0.02


def test_the_threshold_accepts_most_answers(classifier: OnnxClassifier) -> None:
    about = classifier.bundle.metadata
    assert about.selective_accuracy == 0.85
    assert about.accepted is not None
    assert about.accepted > 0.5


def test_a_smile_is_classified_as_happy(classifier: OnnxClassifier, astronaut: NDArray[np.uint8]) -> None:
    about = classifier.bundle.metadata
    (row,) = classifier.classify([crop(astronaut, Square(225, 125, 120), about.input_size, about.crop)])
    assert about.labels[row.argmax()] == "happy"


def test_the_large_model_is_more_accurate() -> None:
    small, large = (
        open_classifier(assets.int8_file(assets.MODELS[name]), "cpu", threads=1).bundle.metadata.metrics.accuracy
        for name in ("bundled", "large")
    )
    assert large >= small + 0.005
