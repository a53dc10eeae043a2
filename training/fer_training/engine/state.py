"""Progress of a run."""

from dataclasses import dataclass

from fer_training.engine.recipe import Phase


@dataclass
class TrainState:
    """Progress of a run.

    Attributes:
        epoch: Completed epochs of all phases.
        phase: Index of the next epoch's phase.
        phase_epoch: Completed epochs of that phase.
        stale: Epochs since the phase's best epoch.
        best: Best validation metric of the run.
        phase_best: Best validation metric of the phase.
    """

    epoch: int = 0
    phase: int = 0
    phase_epoch: int = 0
    stale: int = 0
    best: float = -1.0
    phase_best: float = -1.0

    def end_epoch(self, metric: float) -> None:
        """Record a completed epoch with its validation metric."""
        self.epoch += 1
        self.phase_epoch += 1
        self.stale = 0 if metric > self.phase_best else self.stale + 1
        self.phase_best = max(self.phase_best, metric)
        self.best = max(self.best, metric)

    def in_phase(self, phase: Phase) -> bool:
        """Return True if the phase has another epoch."""
        return self.phase_epoch < phase.epochs and not (phase.patience and self.stale >= phase.patience)

    def next_phase(self) -> None:
        """Move on to the next phase."""
        self.phase, self.phase_epoch, self.stale, self.phase_best = self.phase + 1, 0, 0, -1.0
