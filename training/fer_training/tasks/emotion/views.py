"""Cache of augmented views of the training images, with the teachers' predictions on each view.

A teacher costs several times as much as its student. With `loss.teacher_views` in the recipe, the teachers run
once per view. The student sees one view per epoch, in turn, with new flips and mixes each time.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from fer_service.system.files import open_atomically, write_atomically
from lightning.fabric import Fabric
from torch import Tensor

from fer_training.data.images import FileImages
from fer_training.engine.progress import track_progress
from fer_training.errors import RecipeError, RunError
from fer_training.tasks.emotion.augment import augment
from fer_training.tasks.emotion.inference import Split
from fer_training.tasks.emotion.model import as_levels
from fer_training.tasks.emotion.recipe import EmotionRecipe
from fer_training.tasks.emotion.teachers import Teachers, weights_sha256

_BATCH = 256


@dataclass(frozen=True)
class View:
    """One augmented view of every training image.

    Attributes:
        pixels: uint8 [N, C, S, S].
        probabilities: float32 [N, classes], mean of the teachers.
    """

    pixels: Tensor
    probabilities: Tensor


class TeacherViews:
    """Views of a training split, created on first use."""

    def __init__(
        self,
        folder: Path,
        recipe: EmotionRecipe,
        split: Split,
        teachers: Teachers,
        paths: Sequence[Path],
        fabric: Fabric,
    ) -> None:
        """Open or create the cache folder.

        Args:
            folder: Cache folder. Runs with the same data, teachers, augmentation and seed can share it.
            recipe: EmotionRecipe of the student. Its augmentation and seed determine the views.
            split: Training split, in memory.
            teachers: Teacher networks.
            paths: The teachers' runs or files. Their weights identify the cache.
            fabric: Device and precision of the predictions.

        Raises:
            RecipeError: The images do not fit in memory.
            RunError: The folder holds other views.
        """
        if isinstance(split.data.images, FileImages):
            raise RecipeError("loss.teacher_views requires images that fit in memory: set it to 0")
        self._folder, self._recipe, self._split, self._teachers, self._fabric = (
            folder,
            recipe,
            split,
            teachers,
            fabric,
        )
        about = {
            "data": split.data.sha256,
            "rows": hashlib.sha256(split.data.labels.tobytes()).hexdigest(),
            "teachers": [weights_sha256(path) for path in paths],
            "augment": recipe.augment.model_dump(exclude={"flip", "mixup", "cutmix"}),
            "input": [recipe.network.channels, recipe.network.input_size],
            "seed": recipe.seed,
        }
        index = folder / "views.json"
        if fabric.is_global_zero:
            folder.mkdir(parents=True, exist_ok=True)
            if not index.exists():
                write_atomically(index, json.dumps(about, indent=2) + "\n")
        fabric.barrier()
        kept = json.loads(index.read_text(encoding="utf-8"))
        if others := [name for name, value in about.items() if kept.get(name) != value]:
            raise RunError(
                f"--teacher-cache {folder} was made with other {', '.join(others)}; give another folder"
            )

    def load(self, epoch: int) -> View:
        """Load the view of an epoch. Create it if it is missing."""
        number = epoch % self._recipe.loss.teacher_views
        path = self._folder / f"view-{number:03}.npz"
        if self._fabric.is_global_zero and not path.exists():
            self._make(number, path)
        self._fabric.barrier()
        with np.load(path) as content:
            pixels, probabilities = (torch.from_numpy(content[name]) for name in ("pixels", "answers"))
        return View(pixels, probabilities.to(self._fabric.device))

    def _make(self, number: int, path: Path) -> None:
        recipe = self._recipe
        augmentation = recipe.augment.model_copy(update={"flip": 0.0, "mixup": 0.0, "cutmix": 0.0})
        # The random state of the epoch must not depend on whether the view was cached.
        devices = [self._fabric.device] if self._fabric.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.inference_mode(), self._fabric.autocast():
            torch.manual_seed(recipe.seed * 100_003 + number)
            rows = torch.split(torch.arange(len(self._split)), _BATCH)
            batches = track_progress(self._split.batches(rows), len(rows), f"view {number + 1}", show=True)
            pixels, probabilities = [], []
            for _, images in batches:
                # Round first, so that the teachers see exactly the stored pixels.
                levels = augment(as_levels(images, recipe.network), augmentation).round().clamp(0, 255)
                pixels.append(levels.to(torch.uint8).cpu())
                probabilities.append(self._teachers(levels).float().cpu())
        with open_atomically(path) as file:
            np.savez(file, pixels=torch.cat(pixels).numpy(), answers=torch.cat(probabilities).numpy())
