"""Predictions of a run's best weights on its validation split."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from fer_service.system.files import open_atomically
from lightning.fabric import Fabric
from numpy.typing import NDArray
from scipy.special import softmax

from fer_training.data import FaceDataset
from fer_training.engine.checkpoint import load_checkpoint, restore
from fer_training.engine.run_folder import RunFolder
from fer_training.tasks.emotion.calibrate import fit_temperature
from fer_training.tasks.emotion.inference import Split, predict_logits
from fer_training.tasks.emotion.model import EmotionNetwork
from fer_training.tasks.emotion.recipe import EmotionRecipe


@dataclass(frozen=True)
class Predictions:
    """Predictions on a split; row i belongs to image i.

    Attributes:
        labels: int64 [N], true classes.
        logits: float32 [N, classes].
        classes: Class names.
        temperature: Divisor of the logits.
    """

    labels: NDArray[np.int64]
    logits: NDArray[np.float32]
    classes: tuple[str, ...]
    temperature: float

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Calibrated probabilities, float32 [N, classes]."""
        calibrated: NDArray[np.float32] = softmax(self.logits / self.temperature, axis=1).astype(np.float32)
        return calibrated

    def write(self, path: Path) -> None:
        """Write a parquet file with the columns `label` and `p_<class>`."""
        columns = {f"p_{name}": self.probabilities[:, i] for i, name in enumerate(self.classes)}
        truth = [self.classes[label] for label in self.labels]
        with open_atomically(path) as file:
            pyarrow.parquet.write_table(pyarrow.table({"label": truth} | columns), file)


def predict_run(run: RunFolder, validation: FaceDataset) -> Predictions:
    """Predict a split with a run's best weights, and calibrate the predictions on it.

    Raises:
        RunError: The run has no best.ckpt.
    """
    recipe = run.recipe(EmotionRecipe)
    fabric = Fabric(accelerator="auto", devices=1)  # fp32, as in the exported file
    network = best_network(run, recipe, len(validation.classes)).to(fabric.device)
    logits = predict_logits(network, Split(validation, fabric.device), recipe, fabric).numpy()
    return Predictions(validation.labels, logits, validation.classes, fit_temperature(logits, validation.labels))


def best_network(run: RunFolder, recipe: EmotionRecipe, classes: int) -> EmotionNetwork:
    """Load the network of a run's best checkpoint, in evaluation mode on the CPU.

    Raises:
        RunError: The run has no best.ckpt.
    """
    network = EmotionNetwork(recipe.network, classes, votes_head=recipe.loss.votes_head > 0)
    restore(run.best, load_checkpoint(run.best), {"network": network})
    return network.eval()
