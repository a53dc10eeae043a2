"""What a training minimises."""

import torch
from torch import Tensor
from torch.nn import functional

from training.config import Loss


def soft_targets(labels: Tensor, classes: int, config: Loss, votes: Tensor | None = None) -> Tensor:
    """Labels as rows of probabilities.

    Args:
        labels: int64 [N].
        classes: Number of classes.
        config: Label smoothing is applied here (Szegedy et al. 2016, arXiv:1512.00567), and the votes' share.
        votes: float32 [N, classes], rows sum to 1, or to 0 where nobody voted.

    Returns:
        float32 [N, classes], rows sum to 1.
    """
    hard = functional.one_hot(labels, classes).to(torch.float32)
    smooth = hard * (1 - config.label_smoothing) + config.label_smoothing / classes
    if votes is None or not config.votes:
        return smooth
    share = config.votes * (votes.sum(dim=1, keepdim=True) > 0)
    return smooth * (1 - share) + votes * share


def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy between logits [N, classes] and target rows of the same shape."""
    return functional.cross_entropy(logits.float(), targets)
