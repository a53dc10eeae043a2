"""Confidence calibration, and the threshold below which an answer is uncertain."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

# Standard deviation of the logarithm of a usual temperature. It holds the temperature of ten validation images,
# which may all be right, near 1. Among thousands of images it changes nothing.
_SPREAD = 0.5
# Of 100 images that were drawn from PublicTest, the threshold of the bundled model was 0.52 to 0.81 in nine of ten
# draws; of 20 images it was 0.37 to 0.89, of 4 images 0.41 to 1. Of all 3,589 images it is 0.68.
ENOUGH_IMAGES = 100


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Fit the temperature that minimises the negative log likelihood (Guo et al. 2017, arXiv:1706.04599).

    Its logarithm has a normal prior around 0, so that few images do not lead far away from 1.

    Args:
        logits: [N, classes], of validation images.
        labels: [N], true classes.

    Returns:
        Divisor of the logits, 0.05 to 20.
    """

    def loss(log_temperature: float) -> float:
        scores = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)
        nll = -float(scores[np.arange(len(labels)), labels].sum())
        return nll + (log_temperature / _SPREAD) ** 2 / 2

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def uncertainty_threshold(confidence: NDArray[np.floating], correct: NDArray[np.bool_], accuracy: float) -> float:
    """Choose the confidence below which an answer is uncertain.

    It is that of `confidence_threshold`. Fewer than `ENOUGH_IMAGES` images say nothing about it. Then it is
    2 · accuracy - 1: calibrated confidences that spread evenly above it are right as often as required.
    """
    if len(confidence) < ENOUGH_IMAGES:
        return round(max(2 * accuracy - 1, 0.0), 6)
    return confidence_threshold(confidence, correct, accuracy)


def confidence_threshold(confidence: NDArray[np.floating], correct: NDArray[np.bool_], accuracy: float) -> float:
    """Find the lowest threshold at which the accepted answers reach the accuracy.

    Args:
        confidence: [N], top probability of each answer.
        correct: [N], True for a correct answer.
        accuracy: Required accuracy of the accepted answers, 0 to 1.

    Returns:
        Confidence threshold: the lowest confidence accepts every answer, 1 accepts none.
    """
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    accepted_accuracy = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    # A threshold accepts equal confidences together, so only the last of equal values can be the threshold.
    ends = np.append(ranked[1:] < ranked[:-1], True)
    good = np.flatnonzero(ends & (accepted_accuracy >= accuracy))
    return float(ranked[good[-1]]) if len(good) else 1.0
