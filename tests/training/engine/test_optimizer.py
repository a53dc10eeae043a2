import pytest
import torch
from fer_training.engine.optimizer import build_optimizer
from fer_training.engine.recipe import Optimizer, Schedule
from fer_training.tasks.emotion.freezing import set_trainable
from fer_training.tasks.emotion.model import EmotionNetwork
from fer_training.tasks.emotion.recipe import EmotionPhase, FromLayer, LastLayers, Network

from tests.training.synthetic import ARGUMENTS, NETWORK

Trainable = str | FromLayer | LastLayers
STEPS = 10


def phase(
    trainable: Trainable = "all", epochs: int = 1, optimizer: dict[str, object] | None = None, **schedule: object
) -> EmotionPhase:
    return EmotionPhase(
        name="a phase",
        trainable=trainable,  # type: ignore[arg-type]
        epochs=epochs,
        optimizer=Optimizer.model_validate({"lr": 0.5} | (optimizer or {})),
        schedule=Schedule.model_validate(schedule),
    )


@pytest.fixture
def network() -> EmotionNetwork:
    """A network without zero-initialised layers, so that every layer gets a gradient at once."""
    torch.manual_seed(0)
    arguments = {**ARGUMENTS, "zero_init_last": False}
    return EmotionNetwork(Network.model_validate(NETWORK | {"arguments": arguments}), 7)


def test_biases_and_norms_are_not_decayed(network: EmotionNetwork) -> None:
    decayed, free = build_optimizer(network, phase(optimizer={"weight_decay": 0.1}).optimizer).param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    convolutions_and_head = {name for name in names.values() if "conv" in name or "downsample.0" in name}
    assert {names[id(parameter)] for parameter in decayed["params"]} == convolutions_and_head | {
        "backbone.fc.weight"
    }
    assert len(decayed["params"]) + len(free["params"]) == len(names)


def test_the_optimizer_holds_only_what_is_trained(network: EmotionNetwork) -> None:
    set_trainable(network, phase("head"))
    groups = build_optimizer(network, phase("head").optimizer).param_groups
    assert [[parameter.shape for parameter in group["params"]] for group in groups] == [[(7, 16)], [(7,)]]


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
    network: EmotionNetwork, config: dict[str, object], kind: type[torch.optim.Optimizer]
) -> None:
    optimizer = build_optimizer(network, phase(optimizer=config).optimizer)
    assert type(optimizer) is kind
    for group in optimizer.param_groups:
        assert group["lr"] == 0.5
        assert group.get("momentum") == config.get("momentum")
