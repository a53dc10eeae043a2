"""Trainable layers, optimiser and learning-rate schedule of a phase."""

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


def train_mode(network: EmotionNetwork) -> None:
    """Set training mode, but keep frozen batch norms in evaluation mode so that their statistics stay."""
    network.train()
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not any(p.requires_grad for p in own):
            module.eval()


def build_optimizer(network: nn.Module, phase: Phase) -> Optimizer:
    """Build the phase's optimiser. Biases and normalisation layers have no weight decay."""
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
    """Learning-rate schedule of a phase, per step or (plateau) per epoch."""

    def __init__(self, optimizer: Optimizer, phase: Phase, steps_per_epoch: int) -> None:
        """Start the schedule.

        Args:
            optimizer: Optimiser whose learning rate is set.
            phase: Phase with the schedule's settings.
            steps_per_epoch: Optimiser steps per epoch.
        """
        config = phase.schedule
        self._plateau = config.name == "plateau"
        self._schedule: LambdaLR | ReduceLROnPlateau = (
            ReduceLROnPlateau(optimizer, mode="max", factor=config.factor, patience=config.patience)
            if self._plateau
            else build_schedule(optimizer, phase, steps_per_epoch)
        )

    def step(self) -> None:
        """Update the learning rate after an optimiser step."""
        if isinstance(self._schedule, LambdaLR):
            self._schedule.step()

    def end_epoch(self, accuracy: float) -> None:
        """Update the learning rate after an epoch with this validation accuracy."""
        if isinstance(self._schedule, ReduceLROnPlateau):
            self._schedule.step(accuracy)

    @property
    def lr(self) -> float:
        """Learning rate of the next step."""
        return float(self._schedule.get_last_lr()[0])

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return self._schedule.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self._schedule.load_state_dict(state)


def build_schedule(optimizer: Optimizer, phase: Phase, steps_per_epoch: int) -> LambdaLR:
    """Build the per-step schedule of a phase; it multiplies the optimiser's `lr`."""
    total = phase.epochs * steps_per_epoch
    warmup = phase.schedule.warmup_epochs * steps_per_epoch

    def cosine(progress: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))

    def factor(step: int) -> float:
        if phase.schedule.name == "onecycle":
            # Smith & Topin 2018, arXiv:1708.07120: rise for 30 % of the steps, then fall to 1e-4.
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
    """Return the modules without children, in definition order."""
    leaves = [module for module in network.modules() if not any(module.children())]
    return [module for module in leaves if not isinstance(module, nn.Identity)]


def _from(network: EmotionNetwork, name: str) -> list[nn.Module]:
    children = dict(network.backbone.named_children())
    if name not in children:
        raise RecipeError(f"unknown layer {name!r} in trainable.from; the network has {', '.join(children)}")
    names = list(children)
    return [children[later] for later in names[names.index(name) :]]
