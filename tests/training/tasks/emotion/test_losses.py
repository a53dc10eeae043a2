import math

import pytest
import torch
from fer_training.tasks.emotion.losses import balanced_weights, compute_loss, soft_targets, votes_loss
from fer_training.tasks.emotion.recipe import Loss


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
    assert compute_loss(logits, targets).item() == pytest.approx(expected, rel=1e-6)


def test_the_loss_of_half_precision_logits_is_computed_in_float32() -> None:
    logits = torch.randn(4, 7, dtype=torch.bfloat16)
    targets = soft_targets(torch.arange(4), 7, Loss())
    loss = compute_loss(logits, targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, compute_loss(logits.float(), targets))


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [16, 5] and soft targets [16, 5]."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.softmax(torch.randn(16, 5, generator=generator), dim=1)
    return torch.randn(16, 5, generator=generator) * 3, rows


def test_focal_with_gamma_0_is_cross_entropy(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    torch.testing.assert_close(compute_loss(*batch, Loss(name="focal", gamma=0)), compute_loss(*batch))


@pytest.mark.parametrize("chance", [0.9, 0.5, 0.1])
def test_focal_weighs_an_answer_by_what_is_missing_to_certainty(chance: float) -> None:
    logits, targets = torch.tensor([[math.log(chance), math.log(1 - chance)]]), torch.tensor([[1.0, 0.0]])
    focal = compute_loss(logits, targets, Loss(name="focal", gamma=2))
    torch.testing.assert_close(focal, compute_loss(logits, targets) * (1 - chance) ** 2)


def test_gamma_means_nothing_to_cross_entropy(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert torch.equal(compute_loss(*batch, Loss(gamma=5)), compute_loss(*batch))


def test_focal_has_a_gradient_even_where_an_answer_is_certain() -> None:
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    compute_loss(logits, torch.tensor([[1.0, 0.0], [1.0, 0.0]]), Loss(name="focal", gamma=0.5)).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_balanced_weights_are_inverse_to_counts_and_1_on_average_over_the_images() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    weights = balanced_weights(labels, 3)
    torch.testing.assert_close(weights * torch.tensor([6.0, 3.0, 1.0]), torch.full((3,), 10 / 3))
    torch.testing.assert_close(weights[labels].mean(), torch.tensor(1.0))


def test_a_class_without_images_has_a_finite_weight() -> None:
    assert torch.isfinite(balanced_weights(torch.tensor([0, 0]), 3)).all()


def test_class_weights_multiply_each_class_share_of_the_loss(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, targets = batch
    torch.testing.assert_close(
        compute_loss(logits, targets, None, torch.full((5,), 2.0)), 2 * compute_loss(logits, targets)
    )
    weights = torch.tensor([0.5, 1.0, 2.0, 4.0, 0.0])
    hard = torch.nn.functional.one_hot(torch.arange(16) % 5, 5).float()
    alone = torch.stack([compute_loss(logits[i : i + 1], hard[i : i + 1]) * weights[i % 5] for i in range(16)])
    torch.testing.assert_close(compute_loss(logits, hard, None, weights), alone.mean())


def test_the_votes_loss_is_the_mean_over_the_images_somebody_voted_on(
    batch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    logits, votes = batch
    votes = votes * (torch.arange(16) % 4 == 0).float()[:, None]
    torch.testing.assert_close(votes_loss(logits, votes), compute_loss(logits[::4], votes[::4]))


def test_without_any_vote_the_votes_loss_is_0_and_has_a_gradient() -> None:
    logits = torch.randn(4, 5, requires_grad=True)
    loss = votes_loss(logits, torch.zeros(4, 5))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_smoothing_and_votes_share_a_row_that_sums_to_1() -> None:
    votes = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    rows = soft_targets(torch.tensor([3, 3]), 4, Loss(label_smoothing=0.4, votes=0.5), votes)
    torch.testing.assert_close(rows, torch.tensor([[0.3, 0.3, 0.05, 0.35], [0.1, 0.1, 0.1, 0.7]]))
