"""What a training minimises."""

import torch
from torch import Tensor
from torch.nn import functional

from fer_training.config import Loss

# Below 1 the focal exponent has no gradient at 0.
_LEAST = 1e-6


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


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """A weight a class, inverse to how often it occurs, float32 [classes]; 1 on average over the images."""
    counts = torch.bincount(labels, minlength=classes).clamp_min(1)
    return len(labels) / (classes * counts.to(torch.float32))


def loss_of(logits: Tensor, targets: Tensor, config: Loss | None = None, weights: Tensor | None = None) -> Tensor:
    """Mean loss over a batch.

    Args:
        logits: [N, classes].
        targets: Rows of probabilities, of the same shape.
        config: Cross entropy unless it says focal (Lin et al. 2017, arXiv:1708.02002).
        weights: [classes].
    """
    log_probabilities = functional.log_softmax(logits.float(), dim=1)
    terms = -targets * log_probabilities
    if config is not None and config.name == "focal":
        terms = terms * (1 - log_probabilities.exp()).clamp_min(_LEAST) ** config.gamma
    if weights is not None:
        terms = terms * weights
    return terms.sum(dim=1).mean()


def votes_loss(logits: Tensor, votes: Tensor) -> Tensor:
    """Cross entropy of the second head against the votes, each row counted by what it sums to."""
    terms = -votes * functional.log_softmax(logits.float(), dim=1)
    return terms.sum() / votes.sum().clamp_min(1)
