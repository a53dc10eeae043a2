"""What a run's best weights say of its validation split."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from lightning.fabric import Fabric
from numpy.typing import NDArray
from scipy.special import softmax

from fer_training.calibrate import fit_temperature
from fer_training.checkpoint import load_checkpoint, restore
from fer_training.config import Recipe
from fer_training.data import FaceDataset
from fer_training.device import Split, logits_of
from fer_training.errors import RunError
from fer_training.model import EmotionNetwork
from fer_training.run import RunFolder


@dataclass(frozen=True)
class Predictions:
    """Answers to a split, row i about its image i.

    Attributes:
        labels: int64 [N], the truth.
        logits: float32 [N, classes].
        classes: The class names.
        temperature: What divides the logits.
    """

    labels: NDArray[np.int64]
    logits: NDArray[np.float32]
    classes: tuple[str, ...]
    temperature: float

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Float32 [N, classes], calibrated."""
        calibrated: NDArray[np.float32] = softmax(self.logits / self.temperature, axis=1).astype(np.float32)
        return calibrated

    def write(self, path: Path) -> None:
        """Write the rows as parquet: label, and a probability a class."""
        columns = {f"p_{name}": self.probabilities[:, i] for i, name in enumerate(self.classes)}
        truth = [self.classes[label] for label in self.labels]
        pyarrow.parquet.write_table(pyarrow.table({"label": truth} | columns), path)


def predict_run(run: RunFolder, validation: FaceDataset) -> Predictions:
    """Run a run's best weights over a split, and calibrate them on it.

    Raises:
        RunError: no epoch of the run has ended yet.
    """
    recipe = run.recipe()
    fabric = Fabric(accelerator="auto", devices=1)  # in full precision, as the exported file computes
    network = best_network(run, recipe, len(validation.classes)).to(fabric.device)
    logits = logits_of(network, Split(validation, fabric.device), recipe, fabric).numpy()
    return Predictions(validation.labels, logits, validation.classes, fit_temperature(logits, validation.labels))


def best_network(run: RunFolder, recipe: Recipe, classes: int) -> EmotionNetwork:
    """The network of a run's best checkpoint, in evaluation mode on the CPU.

    Raises:
        RunError: no epoch of the run has ended yet.
    """
    if not run.best.exists():
        raise RunError(f"{run.path} has no best.ckpt: no epoch of it has ended yet")
    network = EmotionNetwork(recipe.network, classes, votes_head=recipe.loss.votes_head > 0)
    restore(run.best, load_checkpoint(run.best), {"network": network})
    return network.eval()
