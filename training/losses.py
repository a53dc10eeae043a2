"""What a training minimises."""

import torch
from torch import Tensor
from torch.nn import functional

from training.config import Loss


def soft_targets(labels: Tensor, classes: int, config: Loss) -> Tensor:
    """Labels as rows of probabilities.

    Args:
        labels: int64 [N].
        classes: Number of classes.
        config: Label smoothing is applied here (Szegedy et al. 2016, arXiv:1512.00567).

    Returns:
        float32 [N, classes], rows sum to 1.
    """
    hard = functional.one_hot(labels, classes).to(torch.float32)
    return hard * (1 - config.label_smoothing) + config.label_smoothing / classes


def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy between logits [N, classes] and target rows of the same shape."""
    return functional.cross_entropy(logits.float(), targets)
