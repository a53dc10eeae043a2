import math

import pytest
import torch

from training.config import Loss
from training.losses import loss_of, soft_targets


def test_without_smoothing_targets_are_the_labels() -> None:
    targets = soft_targets(torch.tensor([2, 0]), 3, Loss())
    assert targets.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert targets.dtype == torch.float32


@pytest.mark.parametrize("smoothing", [0.1, 0.5, 1.0])
def test_smoothing_spreads_its_share_evenly_over_all_classes(smoothing: float) -> None:
    row = soft_targets(torch.tensor([1]), 4, Loss(label_smoothing=smoothing))[0]
    torch.testing.assert_close(row.sum(), torch.tensor(1.0))
    torch.testing.assert_close(row[[0, 2, 3]], torch.full((3,), smoothing / 4))
    torch.testing.assert_close(row[1], torch.tensor(1 - smoothing + smoothing / 4))


def test_votes_share_the_target_with_the_label_where_somebody_voted() -> None:
    votes = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    labels = torch.tensor([2, 2])
    torch.testing.assert_close(
        soft_targets(labels, 3, Loss(votes=0.4), votes), torch.tensor([[0.2, 0.2, 0.6], [0.0, 0.0, 1.0]])
    )
    assert torch.equal(soft_targets(labels, 3, Loss(votes=1), votes)[0], votes[0])
    assert torch.equal(soft_targets(labels, 3, Loss(), votes), soft_targets(labels, 3, Loss()))


def test_the_loss_is_the_mean_cross_entropy_against_soft_rows() -> None:
    logits = torch.tensor([[math.log(0.5), math.log(0.5)], [math.log(0.9), math.log(0.1)]])
    targets = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    expected = (-math.log(0.5) - 0.25 * math.log(0.9) - 0.75 * math.log(0.1)) / 2
    assert loss_of(logits, targets).item() == pytest.approx(expected, rel=1e-6)


def test_the_loss_of_half_precision_logits_is_computed_in_float32() -> None:
    logits = torch.randn(4, 7, dtype=torch.bfloat16)
    targets = soft_targets(torch.arange(4), 7, Loss())
    loss = loss_of(logits, targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, loss_of(logits.float(), targets))
