"""Learning-rate schedule of a phase."""

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from fer_training.engine.recipe import Phase


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

    def end_epoch(self, metric: float) -> None:
        """Update the learning rate after an epoch with this validation metric."""
        if isinstance(self._schedule, ReduceLROnPlateau):
            self._schedule.step(metric)

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
