"""Trainable layers of a phase: progressive unfreezing."""

from torch import nn

from fer_training.errors import RecipeError
from fer_training.tasks.emotion.model import EmotionNetwork
from fer_training.tasks.emotion.recipe import EmotionPhase, FromLayer, LastLayers


def set_trainable(network: EmotionNetwork, phase: EmotionPhase) -> None:
    """Freeze and unfreeze the network's parameters for a phase. The heads are always trained.

    Raises:
        RecipeError: The network has no layer of the given name.
    """
    chosen: list[nn.Module]
    if phase.trainable == "all":
        chosen = [network]
    elif isinstance(phase.trainable, FromLayer):
        chosen = [*_from(network, phase.trainable.from_), *network.heads]
    elif isinstance(phase.trainable, LastLayers):
        chosen = [*_layers(network)[-phase.trainable.last :], *network.heads]
    else:
        chosen = network.heads
    network.requires_grad_(False)
    for module in chosen:
        module.requires_grad_(True)


def _layers(network: EmotionNetwork) -> list[nn.Module]:
    """Return the modules without children, in definition order."""
    leaves = [module for module in network.modules() if not any(module.children())]
    return [module for module in leaves if not isinstance(module, nn.Identity)]


def _from(network: EmotionNetwork, name: str) -> list[nn.Module]:
    children = dict(network.backbone.named_children())
    if name not in children:
        raise RecipeError(f"unknown layer {name!r} in trainable.from; the network has {', '.join(children)}")
    names = list(children)
    return [children[later] for later in names[names.index(name) :]]
