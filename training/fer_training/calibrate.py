"""Make the confidence mean what it says, and choose when to say "not sure"."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature that minimises the negative log likelihood (Guo et al. 2017, arXiv:1706.04599).

    Args:
        logits: [N, classes], from images that were not trained on.
        labels: [N].

    Returns:
        A divisor of the logits, between 0.05 and 20.
    """

    def nll(log_temperature: float) -> float:
        scores = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)
        return -float(scores[np.arange(len(labels)), labels].mean())

    found = minimize_scalar(nll, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def threshold_for(confidence: NDArray[np.floating], correct: NDArray[np.bool_], accuracy: float) -> float:
    """The lowest confidence above which the answers are right often enough.

    Args:
        confidence: [N], the top probability of each answer.
        correct: [N].
        accuracy: The share of accepted answers that has to be right.

    Returns:
        A threshold, 0 where every answer may be accepted and 1 where none may.
    """
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    accepted_accuracy = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    # A threshold accepts all equal confidences or none, so only the last of each run may end the list.
    ends = np.append(ranked[1:] < ranked[:-1], True)
    good = np.flatnonzero(ends & (accepted_accuracy >= accuracy))
    if not len(good):
        return 1.0
    last = good[-1]
    return 0.0 if last == len(order) - 1 else float(ranked[last])
