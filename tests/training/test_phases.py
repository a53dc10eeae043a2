import math

import pytest
import torch
from fer_training.config import FromLayer, LastLayers, Network, Optimizer, Phase, Schedule
from fer_training.errors import RecipeError
from fer_training.model import EmotionNetwork
from fer_training.phases import LRSchedule, build_optimizer, build_schedule, set_trainable, train_mode

from tests.training.synthetic import ARGUMENTS, NETWORK

Trainable = str | FromLayer | LastLayers
STEPS = 10


def phase(
    trainable: Trainable = "all", epochs: int = 1, optimizer: dict[str, object] | None = None, **schedule: object
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
    """A network without zero-initialised layers, so that every layer gets a gradient at once."""
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
    """Learning-rate factor of every step of a phase, and of the step after it."""
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


def trained(network: EmotionNetwork) -> set[str]:
    return {name for name, parameter in network.named_parameters() if parameter.requires_grad}


def deepfer(**changes: object) -> EmotionNetwork:
    """The network has 4 blocks of Conv, BN, ReLU, Conv, BN, ReLU, MaxPool, Dropout; then pool, dropout, fc."""
    content = {"name": "deepfer_cnn", "arguments": {"widths": (4, 4, 8, 8)}} | changes
    return EmotionNetwork(Network.model_validate(content), 7)


@pytest.mark.parametrize("name", ["layer3", "layer4", "fc"])
def test_from_a_layer_on_everything_is_trained(network: EmotionNetwork, name: str) -> None:
    set_trainable(network, phase(FromLayer.model_validate({"from": name})))
    order = ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"]
    later = {f"backbone.{layer}" for layer in order[order.index(name) :]}
    assert {".".join(parameter.split(".")[:2]) for parameter in trained(network)} == later


def test_an_unknown_layer_error_lists_the_layers(network: EmotionNetwork) -> None:
    with pytest.raises(
        RecipeError, match=r"unknown layer 'layer9' in trainable.from; the network has conv1, bn1, .*layer4"
    ):
        set_trainable(network, phase(FromLayer.model_validate({"from": "layer9"})))


@pytest.mark.parametrize(
    ("last", "more"),
    [
        (1, set()),
        (6, set()),
        (7, {"blocks.3.4.weight", "blocks.3.4.bias"}),
        (8, {"blocks.3.4.weight", "blocks.3.4.bias", "blocks.3.3.weight"}),
    ],
)
def test_the_last_layers_are_counted_with_activations_and_pooling(last: int, more: set[str]) -> None:
    network = deepfer()
    set_trainable(network, phase(LastLayers(last=last)))
    assert trained(network) == {f"backbone.{name}" for name in {"fc.weight", "fc.bias"} | more}


def test_more_last_layers_than_there_are_is_all_of_them() -> None:
    network = deepfer()
    set_trainable(network, phase(LastLayers(last=1000)))
    assert trained(network) == {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize(
    "trainable",
    ["head", LastLayers(last=1), FromLayer.model_validate({"from": "fc"})],
    ids=["head", "last", "from"],
)
def test_the_heads_are_always_trained(trainable: Trainable) -> None:
    config = Network.model_validate(
        {"name": "deepfer_cnn", "arguments": {"widths": (4, 4)}, "head": {"widths": [5]}}
    )
    network = EmotionNetwork(config, 7, votes_head=True)
    set_trainable(network, phase(trainable))
    heads = {name for name, _ in network.named_parameters() if name.startswith(("classifier.", "votes."))}
    assert len(heads) == 8
    assert trained(network) == heads


def test_frozen_batch_norms_keep_their_statistics_and_trained_ones_move(network: EmotionNetwork) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items() if "running" in name}
    one_step(network, phase(FromLayer.model_validate({"from": "layer4"})))
    moved = {name for name, value in before.items() if not torch.equal(value, network.state_dict()[name])}
    assert moved == {name for name in before if name.startswith("backbone.layer4.")}


def test_a_later_phase_thaws_what_an_earlier_one_froze(network: EmotionNetwork) -> None:
    for trainable in ("head", "all"):
        set_trainable(network, phase(trainable))
    train_mode(network)
    assert trained(network) == {name for name, _ in network.named_parameters()}
    assert all(module.training for module in network.modules())


def plateau() -> tuple[LRSchedule, torch.optim.SGD]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    return LRSchedule(optimizer, phase(name="plateau", factor=0.1, patience=2), STEPS), optimizer


def test_a_plateau_reduces_the_rate_when_patience_has_passed_without_a_better_epoch() -> None:
    rate, optimizer = plateau()
    found = []
    for accuracy in (0.3, 0.5, 0.5, 0.4, 0.45, 0.4, 0.2, 0.6):
        for _ in range(STEPS):
            optimizer.step()
            rate.step()
        rate.end_epoch(accuracy)
        found.append(rate.lr)
        assert rate.lr == optimizer.param_groups[0]["lr"]
    assert found == pytest.approx([0.5, 0.5, 0.5, 0.5, 0.05, 0.05, 0.05, 0.05])


def test_a_plateau_schedule_resumes_from_its_state() -> None:
    whole, _ = plateau()
    for accuracy in (0.5, 0.4, 0.4, 0.4):
        whole.end_epoch(accuracy)
    (first, optimizer), (second, other) = plateau(), plateau()
    for accuracy in (0.5, 0.4):
        first.end_epoch(accuracy)
    other.load_state_dict(optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    for accuracy in (0.4, 0.4):
        second.end_epoch(accuracy)
    assert second.lr == whole.lr == pytest.approx(0.05)
    assert second.state_dict() == whole.state_dict()


def test_schedules_by_steps_take_no_notice_of_accuracy() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    rate = LRSchedule(optimizer, phase(epochs=2, name="cosine"), STEPS)
    for _ in range(9):
        rate.end_epoch(0.1)
    assert rate.lr == 0.5
    optimizer.step()
    rate.step()
    assert rate.lr < 0.5
