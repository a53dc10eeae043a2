import pytest
import torch
from fer_training.tasks.detection.loss import detection_loss, quality_focal
from fer_training.tasks.detection.network import DetectorNetwork, anchor_points

from tests.training.tasks.detection.made import make_recipe

FACES = torch.tensor([[[16.0, 16, 56, 60]], [[0.0, 0, 0, 0]]])
NONE = torch.zeros(2, 1, 4)
CELLS = anchor_points(96, 96, torch.device("cpu"))


def test_a_few_steps_on_one_batch_make_the_loss_smaller() -> None:
    torch.manual_seed(0)
    recipe = make_recipe()
    network, levels = DetectorNetwork(recipe.network), torch.rand(2, 3, 96, 96) * 255
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    losses = []
    for _ in range(25):
        loss = detection_loss(network(levels), CELLS, FACES, NONE, recipe)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert losses[-1] < losses[0] / 1.5


def test_a_batch_without_faces_has_a_finite_loss_and_gradient() -> None:
    recipe = make_recipe()
    network = DetectorNetwork(recipe.network)
    loss = detection_loss(network(torch.rand(2, 3, 96, 96) * 255), CELLS, NONE, NONE, recipe)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert torch.isfinite(loss)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_a_score_that_is_as_it_should_be_costs_nothing() -> None:
    quality = torch.tensor([0.2, 0.7])
    assert quality_focal(torch.logit(quality), quality).tolist() == pytest.approx([0, 0], abs=1e-9)
    assert quality_focal(torch.tensor([3.0]), torch.tensor([0.0])) > quality_focal(
        torch.tensor([1.0]), torch.tensor([0.0])
    )
