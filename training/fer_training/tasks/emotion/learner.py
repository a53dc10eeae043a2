"""The training of an emotion model: batches, targets and loss."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fer_service.contract.text import printable
from lightning.fabric import Fabric
from torch import Tensor, nn

from fer_training.data import FaceDataset
from fer_training.errors import RecipeError
from fer_training.tasks.emotion.augment import augment, mix
from fer_training.tasks.emotion.exported_weights import STATISTICS_IMAGES, describe_start, start_from
from fer_training.tasks.emotion.freezing import set_trainable
from fer_training.tasks.emotion.inference import Split, compute_accuracy
from fer_training.tasks.emotion.losses import balanced_weights, compute_loss, soft_targets, votes_loss
from fer_training.tasks.emotion.model import EmotionNetwork, as_levels
from fer_training.tasks.emotion.recipe import Augment, EmotionRecipe
from fer_training.tasks.emotion.teachers import Teachers
from fer_training.tasks.emotion.views import TeacherViews, View


@dataclass(frozen=True)
class Start:
    """Initial weights of a network.

    Attributes:
        weights: Checkpoint of the timm network.
        exported: Exported file (see `start_from`).
        from_scratch: Start from random weights even if the recipe asks for pretrained weights.
    """

    weights: Path | None = None
    exported: Path | None = None
    from_scratch: bool = True


@dataclass(frozen=True)
class Batch:
    """Images of a split.

    Attributes:
        rows: int64 [B], their indices in the split.
        pixels: uint8 [B, C, H, W].
        view: The stored view that they come from, if any.
    """

    rows: Tensor
    pixels: Tensor
    view: View | None = None

    def __len__(self) -> int:
        return len(self.rows)


class EmotionLearner:
    """A `Learner` of emotions."""

    metric = "accuracy"
    keeps_best = True

    def __init__(
        self,
        recipe: EmotionRecipe,
        train: FaceDataset,
        validation: FaceDataset,
        fabric: Fabric,
        *,
        about: Mapping[str, Any] | None = None,
        start: Start | None = None,
        teachers: Sequence[Path] = (),
        teacher_cache: Path | None = None,
    ) -> None:
        """Move the data to the device.

        Args:
            recipe: EmotionRecipe of the run.
            train: Training split.
            validation: Validation split. Its accuracy selects the best epoch.
            fabric: Device, precision and processes.
            about: Entries of environment.json.
            start: Weights to start from; None takes random ones.
            teachers: Finished runs or exported files for distillation. Required if and only if the recipe sets
                `loss.teachers`.
            teacher_cache: Folder for the teachers' predictions on fixed views. Required if and only if the recipe
                sets `loss.teacher_views`.

        Raises:
            BundleError: A teacher's file is not a bundle.
            RecipeError: The recipe and the options disagree about teachers.
            RunError: A teacher has no weights, or its classes or channels differ.
        """
        if bool(teachers) != (recipe.loss.teachers > 0):
            raise RecipeError(
                "the recipe sets loss.teachers: give a finished run or an exported file with --teacher"
                if recipe.loss.teachers
                else "--teacher requires loss.teachers in the recipe: set loss.teachers, or remove --teacher"
            )
        if teacher_cache and not recipe.loss.teacher_views:
            raise RecipeError("--teacher-cache requires fixed views: set loss.teacher_views in the recipe")
        self.recipe = recipe
        self.about: Mapping[str, Any] = about or {}
        self._train, self._fabric, self._start = train, fabric, start or Start()
        self._train_split, self._val_split = Split(train, fabric.device), Split(validation, fabric.device)
        self.steps = max(len(train) // (recipe.batch_size * fabric.world_size), 1)
        self.sizes = len(train), len(validation)
        self._phase = recipe.phases[0]
        self.teachers = (
            Teachers(teachers, recipe.network, train.classes).to(fabric.device).eval() if teachers else None
        )
        self.views = None
        if self.teachers and recipe.loss.teacher_views and teacher_cache:
            self.views = TeacherViews(teacher_cache, recipe, self._train_split, self.teachers, teachers, fabric)
        labels, classes = torch.from_numpy(train.labels), len(train.classes)
        votes = torch.zeros(len(train), classes) if train.votes is None else torch.from_numpy(train.votes)
        self._votes = votes.to(fabric.device)
        self.targets = soft_targets(labels, classes, recipe.loss, votes).to(fabric.device)
        balanced = balanced_weights(labels, classes)
        self.class_weights = balanced.to(fabric.device) if recipe.loss.class_weights == "balanced" else None
        self._row_weights = balanced[labels].double() if recipe.sampler == "balanced" else None

    def build(self, phase: int) -> EmotionNetwork:
        """Build the network. All phases have the same.

        Raises:
            BundleError: The file to start from is not a bundle.
            RecipeError: The network cannot be built, or the file does not fit it.
        """
        recipe, start, classes = self.recipe, self._start, self._train.classes
        network = EmotionNetwork(
            recipe.network,
            len(classes),
            votes_head=recipe.loss.votes_head > 0,
            weights=start.weights,
            from_scratch=start.from_scratch,
        )
        if start.exported:
            labels = start_from(network, start.exported, classes, self._some_levels())
            for line in describe_start(start.exported, labels, classes, recipe.data.rename):
                self._fabric.print(printable(line))
        return network

    def changes_network(self, phase: int) -> bool:
        """Return False."""
        return False

    def adopt(self, network: nn.Module, before: nn.Module) -> None:
        """Not needed: all phases have the same network."""

    def begin_phase(self, phase: int, network: nn.Module) -> None:
        """Freeze and unfreeze layers."""
        assert isinstance(network, EmotionNetwork)  # noqa: S101 (for the type checker)
        self._phase = self.recipe.phases[phase]
        set_trainable(network, self._phase)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield this process's batches of an epoch."""
        view = self.views.load(epoch) if self.views else None
        generator = torch.Generator().manual_seed(self.recipe.seed * 100_003 + epoch)
        count = len(self._train_split)
        if self._row_weights is None:
            order = torch.randperm(count, generator=generator)
        else:
            order = torch.multinomial(self._row_weights, count, replacement=True, generator=generator)
        share = order[self._fabric.global_rank :: self._fabric.world_size]
        split = self._train_split.with_images(view.pixels) if view else self._train_split
        for rows, pixels in split.batches(torch.split(share, self.recipe.batch_size)[: self.steps]):
            yield Batch(rows, pixels, view)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Augment and mix a batch, and return its loss."""
        recipe, view = self.recipe, batch.view
        levels = as_levels(batch.pixels, recipe.network, self._phase.input_size)
        # The stored views are augmented already, except for the flip.
        levels = augment(levels, Augment(flip=recipe.augment.flip) if view else recipe.augment)
        known = [self.targets[batch.rows], self._votes[batch.rows]]
        known += [view.probabilities[batch.rows]] if view else []
        levels, mixed = mix(levels, torch.cat(known, dim=1), recipe.augment)
        targets, votes, *teacher_targets = torch.split(mixed, self.targets.shape[1], dim=1)
        levels = levels.contiguous(memory_format=torch.channels_last)
        if self.teachers and not teacher_targets:
            with self._fabric.autocast():
                teacher_targets = [self.teachers(levels)]
        if teacher_targets:
            targets = torch.lerp(targets, teacher_targets[0], recipe.loss.teachers)
        output = model(levels)
        logits, votes_logits = output if isinstance(output, tuple) else (output, None)
        loss = compute_loss(logits, targets, recipe.loss, self.class_weights)
        if votes_logits is not None:
            loss = loss + recipe.loss.votes_head * votes_loss(votes_logits, votes)
        return loss

    def validate(self, network: nn.Module) -> float:
        """Return the accuracy on the validation split."""
        assert isinstance(network, EmotionNetwork)  # noqa: S101 (for the type checker)
        return compute_accuracy(network, self._val_split, self.recipe, self._fabric)

    def _some_levels(self) -> Tensor:
        """Return some training images as network input, float [n, C, S, S]."""
        rows = np.random.default_rng(0).permutation(len(self._train))[:STATISTICS_IMAGES]
        pixels = torch.from_numpy(self._train.pixels(np.sort(rows))).permute(0, 3, 1, 2)
        return as_levels(pixels, self.recipe.network)
