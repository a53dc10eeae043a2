import io
import math

import numpy as np
import pytest
from fer_service.contract.bundle import CropGeometry
from fer_training.data import FaceDataset
from fer_training.tasks.emotion.evaluate import (
    better_constant,
    calibration_error,
    print_metrics,
    probabilities_of,
    score,
    served_crops,
)
from rich.console import Console

from tests.fakes import LABELS, FakeClassifier

ANSWERS = np.array([[0.82, 0.1, 0.08], [0.81, 0.12, 0.07], [0.2, 0.7, 0.1], [0.3, 0.2, 0.5]], np.float32)
TRUTH = np.array([0, 1, 1, 2])


def test_figures_are_those_computed_by_hand() -> None:
    metrics = score(ANSWERS, TRUTH, LABELS, "test")
    assert (metrics.split, metrics.count, metrics.accuracy) == ("test", 4, 0.75)
    assert metrics.confusion == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    angry, happy, neutral = (metrics.per_class[label] for label in LABELS)
    assert (angry.precision, angry.recall, angry.f1, angry.support) == (0.5, 1.0, 0.6667, 1)
    assert (happy.precision, happy.recall, happy.f1, happy.support) == (1.0, 0.5, 0.6667, 2)
    assert (neutral.precision, neutral.recall, neutral.f1, neutral.support) == (1.0, 1.0, 1.0, 1)
    assert metrics.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 1) / 3, abs=1e-5)
    assert metrics.nll == pytest.approx(-math.log(0.82 * 0.12 * 0.7 * 0.5) / 4, abs=1e-5)
    # 0.82 (correct) and 0.81 (wrong) share a bin; 0.7 and 0.5 (correct) have their own bins.
    assert metrics.ece15 == pytest.approx((abs(1 - 1.63) + 0.3 + 0.5) / 4, abs=1e-5)


def test_a_class_without_images_scores_0_without_a_warning() -> None:
    metrics = score(ANSWERS[:3], TRUTH[:3], LABELS, "test")
    assert (metrics.per_class["neutral"].f1, metrics.per_class["neutral"].support) == (0.0, 0)
    assert metrics.macro_f1 == pytest.approx(2 / 3, abs=1e-5)  # of the other two


def test_a_certain_answer_has_a_finite_likelihood_even_where_it_is_wrong() -> None:
    certain = np.array([[1, 0, 0], [1, 0, 0]], np.float32)
    metrics = score(certain, np.array([0, 1]), LABELS, "test")
    assert math.isfinite(metrics.nll)
    assert metrics.ece15 == 0.5


@pytest.mark.parametrize(
    ("confidence", "right", "expected"), [(0.75, 0.75, 0.0), (0.75, 0.5, 0.25), (0.5, 1.0, 0.5), (1.0, 0.0, 1.0)]
)
def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy(
    confidence: float, right: float, expected: float
) -> None:
    correct = np.arange(100) < 100 * right
    assert calibration_error(np.full(100, confidence), correct) == pytest.approx(expected)


def test_gaps_of_different_bins_do_not_cancel() -> None:
    over, under = np.full(50, 0.9), np.full(50, 0.3)
    correct = np.concatenate([np.arange(50) < 35, np.arange(50) < 25])
    assert calibration_error(np.concatenate([over, under]), correct) == pytest.approx(0.2)


def test_images_are_classified_in_batches_and_answered_in_order(faces: FaceDataset) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (600, 48, 48, 3), dtype=np.uint8)
    many = FaceDataset("x", levels, np.zeros(600, np.int64), np.full(600, "test"), LABELS, "")
    classifier = FakeClassifier()
    answers = probabilities_of(classifier, many.images)
    assert classifier.batches == [256, 256, 88]
    assert np.array_equal(answers, classifier.classify(list(levels)))


@pytest.mark.parametrize("size", [48, 32])
def test_grey_images_are_served_as_rgb_of_the_networks_size(faces: FaceDataset, size: int) -> None:
    crops = list(served_crops(faces.images, size, CropGeometry()))
    assert {crop.shape for crop in crops} == {(size, size, 3)}
    assert all((crop == crop[..., :1]).all() for crop in crops)
    if size == 48:
        assert np.array_equal(np.stack(crops)[..., :1], faces.images)


def test_a_model_that_is_no_better_than_a_constant_is_told() -> None:
    truth = np.array([0, 1, 1, 1, 2, 2])
    for answers, constant in (
        ([1, 1, 1, 1, 1, 1], LABELS[1]),
        ([0, 1, 1, 0, 0, 0], LABELS[1]),
        ([0, 1, 1, 0, 2, 0], None),
    ):
        metrics = score(np.eye(len(LABELS), dtype=np.float32)[answers], truth, LABELS, "test")
        assert better_constant(metrics) == constant


def test_people_read_the_figures_as_tables() -> None:
    text = io.StringIO()
    print_metrics(score(ANSWERS, TRUTH, LABELS, "test"), Console(file=text, width=120))
    lines = text.getvalue().splitlines()
    assert lines[0].startswith("test: 4 images  accuracy 75.00%  macro-F1 0.7778")
    rows = [line.strip(" │").replace("│", " ").split() for line in lines if "happy" in line]
    assert ["happy", "1.000", "0.500", "0.667", "2"] in rows
    assert ["happy", "1", "1", "0"] in rows
