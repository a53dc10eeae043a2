"""Loss functions and training targets of the emotion network."""

import torch
from torch import Tensor
from torch.nn import functional

from fer_training.tasks.emotion.recipe import Loss

# With an exponent below 1, the focal term has no finite gradient at 0.
_LEAST = 1e-6


def soft_targets(labels: Tensor, classes: int, config: Loss, votes: Tensor | None = None) -> Tensor:
    """Convert labels to target probabilities.

    Args:
        labels: int64 [N].
        classes: Number of classes.
        config: Label smoothing (Szegedy et al. 2016, arXiv:1512.00567) and weight of the votes.
        votes: float32 [N, classes]. Rows sum to 1, or to 0 for images without votes.

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
    """Return class weights float32 [classes], inverse to the class frequency, with mean 1 over the images."""
    counts = torch.bincount(labels, minlength=classes).clamp_min(1)
    return len(labels) / (classes * counts.to(torch.float32))


def compute_loss(
    logits: Tensor, targets: Tensor, config: Loss | None = None, weights: Tensor | None = None
) -> Tensor:
    """Return the mean loss of a batch.

    Args:
        logits: float [N, classes].
        targets: float [N, classes], rows are probabilities.
        config: Cross entropy (default) or focal loss (Lin et al. 2017, arXiv:1708.02002).
        weights: Class weights, float [classes].
    """
    log_probabilities = functional.log_softmax(logits.float(), dim=1)
    terms = -targets * log_probabilities
    if config is not None and config.name == "focal":
        terms = terms * (1 - log_probabilities.exp()).clamp_min(_LEAST) ** config.gamma
    if weights is not None:
        terms = terms * weights
    return terms.sum(dim=1).mean()


def votes_loss(logits: Tensor, votes: Tensor) -> Tensor:
    """Return the mean cross entropy of the votes head. Rows without votes do not count."""
    terms = -votes * functional.log_softmax(logits.float(), dim=1)
    return terms.sum() / votes.sum().clamp_min(1)
