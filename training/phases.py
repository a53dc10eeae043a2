"""What a phase trains: which layers, with which optimiser, at which rate."""

import math

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from training.config import Phase
from training.model import EmotionNetwork


def set_trainable(network: EmotionNetwork, phase: Phase) -> None:
    """Freeze and unfreeze the network's parameters as the phase says."""
    chosen: nn.Module = network if phase.trainable == "all" else network.head
    network.requires_grad_(False)
    chosen.requires_grad_(True)


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
