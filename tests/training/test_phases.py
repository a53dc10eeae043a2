import math

import pytest
import torch

from tests.training.synthetic import ARGUMENTS, NETWORK
from training.config import Network, Optimizer, Phase, Schedule
from training.model import EmotionNetwork
from training.phases import build_optimizer, build_schedule, set_trainable, train_mode

STEPS = 10


def phase(
    trainable: str = "all", epochs: int = 1, optimizer: dict[str, object] | None = None, **schedule: object
) -> Phase:
    return Phase(
        name="a phase",
        trainable=trainable,  # type: ignore[arg-type]
        epochs=epochs,
        optimizer=Optimizer.model_validate({"lr": 0.5} | (optimizer or {})),
        schedule=Schedule.model_validate(schedule),
    )


@pytest.fixture
def network() -> EmotionNetwork:
    """Without timm's zero weights at the end of each block, so that gradients reach every layer at once."""
    torch.manual_seed(0)
    arguments = {**ARGUMENTS, "zero_init_last": False}
    return EmotionNetwork(Network.model_validate(NETWORK | {"arguments": arguments}), 7)


def one_step(network: EmotionNetwork, which: Phase) -> None:
    set_trainable(network, which)
    train_mode(network)
    optimizer = build_optimizer(network, which)
    network(torch.rand(8, 1, 48, 48) * 255).square().sum().backward()
    optimizer.step()


def rates(which: Phase) -> list[float]:
    """The rate of every step of a phase, as a factor, and the one that would come after."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=which.optimizer.lr)
    schedule = build_schedule(optimizer, which, STEPS)
    found = [optimizer.param_groups[0]["lr"] / which.optimizer.lr]
    for _ in range(which.epochs * STEPS):
        optimizer.step()
        schedule.step()
        found.append(optimizer.param_groups[0]["lr"] / which.optimizer.lr)
    return found


def test_a_head_phase_changes_the_head_alone_and_no_statistics(network: EmotionNetwork) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    one_step(network, phase("head"))
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"backbone.fc.weight", "backbone.fc.bias"}


def test_a_phase_of_all_layers_changes_every_parameter_and_the_statistics(network: EmotionNetwork) -> None:
    one_step(network, phase("head"))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    one_step(network, phase("all"))
    assert [name for name, value in network.state_dict().items() if torch.equal(value, before[name])] == []


def test_biases_and_norms_are_not_decayed(network: EmotionNetwork) -> None:
    decayed, free = build_optimizer(network, phase(optimizer={"weight_decay": 0.1})).param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    convolutions_and_head = {name for name in names.values() if "conv" in name or "downsample.0" in name}
    assert {names[id(parameter)] for parameter in decayed["params"]} == convolutions_and_head | {
        "backbone.fc.weight"
    }
    assert len(decayed["params"]) + len(free["params"]) == len(names)


def test_the_optimizer_holds_only_what_is_trained(network: EmotionNetwork) -> None:
    set_trainable(network, phase("head"))
    groups = build_optimizer(network, phase("head")).param_groups
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
    optimizer = build_optimizer(network, phase(optimizer=config))
    assert type(optimizer) is kind
    for group in optimizer.param_groups:
        assert group["lr"] == 0.5
        assert group.get("momentum") == config.get("momentum")


def test_a_constant_rate_is_constant() -> None:
    assert rates(phase(epochs=2, name="constant")) == [1.0] * 21


def test_a_cosine_falls_from_the_full_rate_to_0() -> None:
    found = rates(phase(epochs=2, name="cosine"))
    assert found == pytest.approx([0.5 * (1 + math.cos(math.pi * step / 20)) for step in range(21)])
    assert found[-1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_a_warm_up_rises_evenly_to_the_full_rate(name: str) -> None:
    found = rates(phase(epochs=3, name=name, warmup_epochs=1))
    assert found[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert found[10] == 1.0
    assert found[-1] == pytest.approx(1.0 if name == "constant" else 0.0, abs=1e-12)


@pytest.mark.parametrize("warmup", [0.05, 0.25, 1.5, 2.99])
def test_no_warm_up_exceeds_the_full_rate(warmup: float) -> None:
    found = rates(phase(epochs=3, name="constant", warmup_epochs=warmup))
    assert max(found) == 1.0


def test_onecycle_rises_for_30_percent_of_the_steps_and_falls_to_almost_nothing() -> None:
    found = rates(phase(epochs=2, name="onecycle"))
    assert found[0] == pytest.approx(0.04)
    assert found[6] == pytest.approx(1.0)
    assert found[:7] == sorted(found[:7])
    assert found[6:] == sorted(found[6:], reverse=True)
    assert found[-1] == pytest.approx(1e-4)
