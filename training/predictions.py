"""What a run's best weights say of its selection split."""

from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import pyarrow
import pyarrow.parquet
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from training.calibrate import fit_temperature
from training.config import Recipe
from training.data import FaceDataset
from training.errors import RunError
from training.model import EmotionNetwork
from training.run import RunFolder

_BATCH = 256


@dataclass(frozen=True)
class Predictions:
    """Answers to a split, row i about its picture i.

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


def predict_run(run: RunFolder, select: FaceDataset) -> Predictions:
    """Run a run's best weights over a split, and calibrate them on it.

    Raises:
        RunError: no epoch of the run has ended yet.
    """
    recipe = run.recipe()
    network = best_network(run, recipe, len(select.classes))
    images = select.fitted(recipe.network.input_size, recipe.network.channels).images
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    with torch.inference_mode():
        parts = [
            network(torch.from_numpy(images[start : start + _BATCH]).permute(0, 3, 1, 2).float().to(device)).cpu()
            for start in range(0, len(images), _BATCH)
        ]
    logits = torch.cat(parts).numpy()
    return Predictions(select.labels, logits, select.classes, fit_temperature(logits, select.labels))


def best_network(run: RunFolder, recipe: Recipe, classes: int) -> EmotionNetwork:
    """The network of a run's best checkpoint, in evaluation mode on the CPU.

    Raises:
        RunError: no epoch of the run has ended yet.
    """
    if not run.best.exists():
        raise RunError(f"{run.path} has no best.ckpt: no epoch of it has ended yet")
    network = EmotionNetwork(recipe.network, classes)
    try:
        network.load_state_dict(torch.load(run.best, map_location="cpu", weights_only=True)["network"])
    except (OSError, RuntimeError, KeyError, EOFError, UnpicklingError) as error:
        raise RunError(f"{run.best} cannot be read: {' '.join(str(error).split())[:200]}") from error
    return network.eval()
