"""A fixed set of augmented views of the training images, with the teachers' answers about each, kept on disk.

A teacher costs several times what its learner does. With `loss.teacher_views` in the recipe it is asked about each
view once, and the learner sees the views in turn, flipped and mixed anew each time.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from fer_service.contract.bundle import file_sha256
from lightning.fabric import Fabric
from torch import Tensor

from fer_training.augment import augment
from fer_training.config import Recipe
from fer_training.data.images import FileImages
from fer_training.device import Split
from fer_training.errors import RecipeError, RunError
from fer_training.model import as_levels
from fer_training.progress import tracked
from fer_training.run import RunFolder
from fer_training.teachers import Teachers

_BATCH = 256


@dataclass(frozen=True)
class View:
    """One augmented view of every training image.

    Attributes:
        pixels: uint8 [N, C, S, S].
        answers: float32 [N, classes], the teachers' mean probabilities.
    """

    pixels: Tensor
    answers: Tensor


class TaughtViews:
    """The views of one training split, made when an epoch first asks for them."""

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        split: Split,
        teachers: Teachers,
        runs: Sequence[RunFolder],
        fabric: Fabric,
    ) -> None:
        """Open the folder, or begin it.

        Args:
            folder: Where the views are kept; runs with the same data, teachers and augmentation may share it.
            recipe: Its augmentation and seed decide what a view shows.
            split: The training images, in memory.
            teachers: Who answers.
            runs: The teachers' runs; their weights identify the views.
            fabric: Device and precision of the answers.

        Raises:
            RecipeError: the images are too many for the memory.
            RunError: the folder holds other views.
        """
        if isinstance(split.data.images, FileImages):
            raise RecipeError("loss.teacher_views needs images that fit in memory; set it to 0")
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
            "teachers": [file_sha256(run.best) for run in runs],
            "augment": recipe.augment.model_dump(exclude={"flip", "mixup", "cutmix"}),
            "input": [recipe.network.channels, recipe.network.input_size],
            "seed": recipe.seed,
        }
        described = folder / "views.json"
        if fabric.is_global_zero:
            folder.mkdir(parents=True, exist_ok=True)
            if not described.exists():
                described.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        fabric.barrier()
        if json.loads(described.read_text(encoding="utf-8")) != about:
            raise RunError(
                f"--teacher-cache {folder} holds views of other data, teachers, augmentation or seed; "
                "give another folder"
            )

    def of(self, epoch: int) -> View:
        """The view that an epoch sees, made if it is not there yet."""
        number = epoch % self._recipe.loss.teacher_views
        path = self._folder / f"view-{number:03}.npz"
        if not path.exists():
            if self._fabric.is_global_zero:
                self._make(number, path)
            self._fabric.barrier()
        with np.load(path) as content:
            pixels, answers = (torch.from_numpy(content[name]) for name in ("pixels", "answers"))
        return View(pixels, answers.to(self._fabric.device))

    def _make(self, number: int, path: Path) -> None:
        recipe = self._recipe
        steady = recipe.augment.model_copy(update={"flip": 0.0, "mixup": 0.0, "cutmix": 0.0})
        # The epoch's own random numbers must not depend on whether its view was there already.
        devices = [self._fabric.device] if self._fabric.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.inference_mode(), self._fabric.autocast():
            torch.manual_seed(recipe.seed * 100_003 + number)
            rows = torch.split(torch.arange(len(self._split)), _BATCH)
            batches = tracked(self._split.batches(rows), len(rows), f"view {number + 1}", show=True)
            pixels, answers = [], []
            for _, images in batches:
                # Rounded before the teachers see them: their answers are about the very pixels that are kept.
                levels = augment(as_levels(images, recipe.network), steady).round().clamp(0, 255)
                pixels.append(levels.to(torch.uint8).cpu())
                answers.append(self._teachers(levels).float().cpu())
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, pixels=torch.cat(pixels).numpy(), answers=torch.cat(answers).numpy())
        partial.replace(path)
