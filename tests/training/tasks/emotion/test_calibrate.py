import numpy as np
import pytest
from fer_training.tasks.emotion.calibrate import confidence_threshold, fit_temperature, uncertainty_threshold
from numpy.typing import NDArray
from scipy.special import softmax


@pytest.fixture(scope="module")
def calibrated() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits whose softmax equals the class frequencies."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 5)).astype(np.float32)
    draws = softmax(logits, axis=1).cumsum(axis=1) < rng.random((len(logits), 1))
    return logits, draws.sum(axis=1).clip(0, 4)


@pytest.mark.parametrize("factor", [0.25, 1.0, 3.0])
def test_the_temperature_undoes_a_known_factor(
    calibrated: tuple[NDArray[np.float32], NDArray[np.int64]], factor: float
) -> None:
    logits, labels = calibrated
    assert fit_temperature(logits * np.float32(factor), labels) == pytest.approx(factor, rel=0.03)


def test_the_temperature_stays_between_its_bounds() -> None:
    right = np.tile(np.eye(3, dtype=np.float32), (20_000, 1))
    labels = np.tile(np.arange(3), 20_000)
    assert 0.05 <= fit_temperature(right, labels) < 0.1
    assert 19 < fit_temperature(-right, labels) <= 20


def test_few_images_keep_the_temperature_near_1() -> None:
    labels = np.arange(9) % 3
    right = 3 * np.eye(3, dtype=np.float32)[labels]  # each is right with 0.91
    assert 0.6 < fit_temperature(right, labels) < 0.9
    assert 1.5 < fit_temperature(-right, labels) < 6


def threshold(confidence: list[float], correct: list[int], accuracy: float) -> float:
    return confidence_threshold(np.array(confidence, np.float32), np.array(correct, bool), accuracy)


def test_the_threshold_is_the_lowest_that_reaches_the_accuracy() -> None:
    confidence, correct = [0.9, 0.5, 0.8, 0.6, 0.7], [1, 0, 1, 1, 0]
    # By confidence: correct, correct, wrong, correct, wrong; accuracy 1, 1, 0.67, 0.75, 0.6.
    assert threshold(confidence, correct, 0.75) == np.float32(0.6)
    assert threshold(confidence, correct, 0.76) == np.float32(0.8)


def test_accepted_answers_are_right_often_enough_and_no_lower_threshold_does() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.random(500).astype(np.float32).round(2)
    correct = rng.random(500) < confidence
    found = confidence_threshold(confidence, correct, 0.85)
    assert correct[confidence >= found].mean() >= 0.85
    assert all(correct[confidence >= lower].mean() < 0.85 for lower in np.unique(confidence[confidence < found]))


@pytest.mark.parametrize(("correct", "expected"), [([1, 1, 0], 0.9), ([1, 0, 1], 0.9), ([1, 1, 1], 0.6)])
def test_equal_confidences_are_accepted_together_or_not_at_all(correct: list[int], expected: float) -> None:
    assert threshold([0.9, 0.6, 0.6], correct, 0.8) == pytest.approx(expected)


def test_where_every_answer_may_be_accepted_the_threshold_is_the_lowest_confidence() -> None:
    assert threshold([0.9, 0.3], [1, 1], 1.0) == pytest.approx(0.3)


def test_where_no_answer_may_be_accepted_the_threshold_is_1() -> None:
    assert threshold([0.9, 0.3], [0, 0], 0.85) == 1.0


@pytest.mark.parametrize("right", [True, False])
def test_few_images_do_not_choose_the_threshold(right: bool) -> None:
    few, correct = np.full(99, 0.9, np.float32), np.full(99, right)
    assert uncertainty_threshold(few, correct, 0.85) == 0.7
    assert uncertainty_threshold(few[:4], correct[:4], 0.4) == 0


def test_a_hundred_images_choose_the_threshold() -> None:
    confidence = np.linspace(0, 1, 100)
    correct = confidence > 0.3
    found = uncertainty_threshold(confidence, correct, 0.85)
    assert found == confidence_threshold(confidence, correct, 0.85) != 0.7
