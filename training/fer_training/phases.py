"""What a phase trains: which layers, with which optimiser, at which rate."""

import math
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from fer_training.config import FromLayer, LastLayers, Phase
from fer_training.errors import RecipeError
from fer_training.model import EmotionNetwork


def set_trainable(network: EmotionNetwork, phase: Phase) -> None:
    """Freeze and unfreeze the network's parameters as the phase says; the heads are always trained.

    Raises:
        RecipeError: the network has no layer of the phase's name.
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


def train_mode(network: EmotionNetwork) -> None:
    """Training mode, but frozen layers keep the statistics of their batch norms."""
    network.train()
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not any(p.requires_grad for p in own):
            module.eval()


def build_optimizer(network: nn.Module, phase: Phase) -> Optimizer:
    """The phase's optimiser; biases and normalisation layers are not decayed."""
    config = phase.optimizer
    trainable = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.name == "sgd":
        nesterov = config.nesterov and config.momentum > 0
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=nesterov)
    if config.name == "adam":
        return torch.optim.Adam(groups, lr=config.lr)
    return torch.optim.AdamW(groups, lr=config.lr)


class LRSchedule:
    """A phase's learning rate: told of every step and of every epoch's accuracy."""

    def __init__(self, optimizer: Optimizer, phase: Phase, steps_an_epoch: int) -> None:
        """Begin at the phase's first rate.

        Args:
            optimizer: Whose rate moves.
            phase: How.
            steps_an_epoch: Optimiser steps.
        """
        config = phase.schedule
        self._plateau = config.name == "plateau"
        self._schedule: LambdaLR | ReduceLROnPlateau = (
            ReduceLROnPlateau(optimizer, mode="max", factor=config.factor, patience=config.patience)
            if self._plateau
            else build_schedule(optimizer, phase, steps_an_epoch)
        )

    def step(self) -> None:
        """A step was taken."""
        if isinstance(self._schedule, LambdaLR):
            self._schedule.step()

    def epoch(self, accuracy: float) -> None:
        """An epoch has ended with this accuracy on the validation split."""
        if isinstance(self._schedule, ReduceLROnPlateau):
            self._schedule.step(accuracy)

    @property
    def current(self) -> float:
        """The rate of the next step."""
        return float(self._schedule.get_last_lr()[0])

    def state_dict(self) -> dict[str, Any]:
        """All that resuming needs."""
        return self._schedule.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another stood."""
        self._schedule.load_state_dict(state)


def build_schedule(optimizer: Optimizer, phase: Phase, steps_an_epoch: int) -> LambdaLR:
    """The phase's rate as a factor of its optimiser's `lr`, a step at a time."""
    total = phase.epochs * steps_an_epoch
    warmup = phase.schedule.warmup_epochs * steps_an_epoch

    def cosine(progress: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))

    def factor(step: int) -> float:
        if phase.schedule.name == "onecycle":
            # Smith & Topin 2018, arXiv:1708.07120: up for 30 % of the steps, then down to almost nothing.
            rise = 0.3 * total
            if step < rise:
                return 0.04 + 0.96 * (1 - cosine(step / rise))
            return max(cosine((step - rise) / (total - rise)), 1e-4)
        if step < warmup:
            return min((step + 1) / warmup, 1.0)
        if phase.schedule.name == "constant":
            return 1.0
        return cosine((step - warmup) / max(total - warmup, 1))

    return LambdaLR(optimizer, factor)


def _layers(network: EmotionNetwork) -> list[nn.Module]:
    """Modules without children, in the order of their definition."""
    leaves = [module for module in network.modules() if not any(module.children())]
    return [module for module in leaves if not isinstance(module, nn.Identity)]


def _from(network: EmotionNetwork, name: str) -> list[nn.Module]:
    children = dict(network.backbone.named_children())
    if name not in children:
        raise RecipeError(f"there is no layer {name!r} to train from; there are {', '.join(children)}")
    names = list(children)
    return [children[later] for later in names[names.index(name) :]]
