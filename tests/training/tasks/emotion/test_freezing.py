import pytest
import torch
from fer_training.engine.optimizer import build_optimizer, train_mode
from fer_training.engine.recipe import Optimizer, Schedule
from fer_training.errors import RecipeError
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


def one_step(network: EmotionNetwork, which: EmotionPhase) -> None:
    set_trainable(network, which)
    train_mode(network)
    optimizer = build_optimizer(network, which.optimizer)
    network(torch.rand(8, 1, 48, 48) * 255).square().sum().backward()
    optimizer.step()


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
