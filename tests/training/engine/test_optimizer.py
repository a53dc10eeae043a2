import pytest
import torch
from fer_training.engine.optimizer import build_optimizer, train_mode
from fer_training.engine.recipe import Optimizer
from torch import nn


@pytest.fixture
def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 5))


def test_biases_and_norms_are_not_decayed(network: nn.Sequential) -> None:
    decayed, free = build_optimizer(network, Optimizer(lr=0.5, weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert [parameter.shape for parameter in decayed["params"]] == [(2, 1, 3, 3), (5, 2)]
    assert [parameter.shape for parameter in free["params"]] == [(2,), (2,), (2,), (5,)]


def test_the_optimizer_holds_only_what_is_trained(network: nn.Sequential) -> None:
    network[:3].requires_grad_(False)
    groups = build_optimizer(network, Optimizer(lr=0.5)).param_groups
    assert [[parameter.shape for parameter in group["params"]] for group in groups] == [[(5, 2)], [(5,)]]


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"name": "sgd", "momentum": 0.8}, torch.optim.SGD),
        ({"name": "sgd", "momentum": 0.0}, torch.optim.SGD),
        ({"name": "adam"}, torch.optim.Adam),
        ({"name": "adamw"}, torch.optim.AdamW),
    ],
)
def test_the_optimizer_is_the_one_that_is_named(
    network: nn.Sequential, config: dict[str, object], kind: type[torch.optim.Optimizer]
) -> None:
    optimizer = build_optimizer(network, Optimizer.model_validate({"lr": 0.5} | config))
    assert type(optimizer) is kind
    for group in optimizer.param_groups:
        assert group["lr"] == 0.5
        assert group.get("momentum") == config.get("momentum")


@pytest.mark.parametrize("frozen", [False, True])
def test_a_frozen_batch_norm_keeps_its_statistics(network: nn.Sequential, frozen: bool) -> None:
    network[1].requires_grad_(not frozen)
    train_mode(network.eval())
    assert network.training
    assert network[1].training is not frozen
