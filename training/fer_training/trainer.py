"""Training loop of the emotion network.

The random numbers of an epoch depend only on the recipe's seed and on the epoch's number. A resumed run therefore
equals an uninterrupted one.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from fer_training.augment import augment, mix
from fer_training.checkpoint import restore, resume, save_checkpoint
from fer_training.config import Augment, Phase, Recipe
from fer_training.data import FaceDataset
from fer_training.device import Split, compute_accuracy
from fer_training.errors import RecipeError
from fer_training.exported_weights import STATISTICS_IMAGES, start_from
from fer_training.losses import balanced_weights, compute_loss, soft_targets, votes_loss
from fer_training.model import EmotionNetwork, as_levels
from fer_training.phases import LRSchedule, build_optimizer, set_trainable, train_mode
from fer_training.progress import epoch_line, track_progress
from fer_training.run import RunFolder
from fer_training.teachers import Teachers
from fer_training.views import TeacherViews, View


@dataclass
class TrainState:
    """Progress of a run.

    Attributes:
        epoch: Completed epochs of all phases.
        phase: Index of the next epoch's phase.
        phase_epoch: Completed epochs of that phase.
        stale: Epochs since the phase's best epoch.
        best: Best validation accuracy of the run.
        phase_best: Best validation accuracy of the phase.
    """

    epoch: int = 0
    phase: int = 0
    phase_epoch: int = 0
    stale: int = 0
    best: float = -1.0
    phase_best: float = -1.0

    def end_epoch(self, accuracy: float) -> None:
        """Record a completed epoch with its validation accuracy."""
        self.epoch += 1
        self.phase_epoch += 1
        self.stale = 0 if accuracy > self.phase_best else self.stale + 1
        self.phase_best = max(self.phase_best, accuracy)
        self.best = max(self.best, accuracy)

    def in_phase(self, phase: Phase) -> bool:
        """Return True if the phase has another epoch."""
        return self.phase_epoch < phase.epochs and not (phase.patience and self.stale >= phase.patience)

    def next_phase(self) -> None:
        """Move on to the next phase."""
        self.phase, self.phase_epoch, self.stale, self.phase_best = self.phase + 1, 0, 0, -1.0


class Trainer:
    """Trains one run."""

    def __init__(
        self,
        recipe: Recipe,
        train: FaceDataset,
        validation: FaceDataset,
        run: RunFolder,
        fabric: Fabric,
        *,
        weights: Path | None = None,
        init: Path | None = None,
        from_scratch: bool = True,
        teachers: Sequence[Path] = (),
        teacher_cache: Path | None = None,
    ) -> None:
        """Build the network and move the data to the device.

        Args:
            recipe: Recipe of the run.
            train: Training split.
            validation: Validation split. Its accuracy selects the best epoch.
            run: Folder for checkpoints and metrics.
            fabric: Device, precision and processes. It must be launched.
            weights: Checkpoint of the timm network to start from.
            init: Exported file to start from (see `start_from`).
            from_scratch: Start from random weights even if the recipe asks for pretrained weights.
            teachers: Finished runs or exported files for distillation. Required if and only if the recipe sets
                `loss.teachers`.
            teacher_cache: Folder for the teachers' predictions on fixed views (`loss.teacher_views`). Default:
                `teacher-cache` in the run folder.

        Raises:
            BundleError: `init` is not a bundle.
            RecipeError: The network cannot be built, `init` does not fit it, or the recipe and the options
                disagree about teachers.
            RunError: A teacher has no weights, or its classes or channels differ.
        """
        if bool(teachers) != (recipe.loss.teachers > 0):
            raise RecipeError(
                "the recipe sets loss.teachers: give finished runs with --teacher"
                if recipe.loss.teachers
                else "--teacher requires loss.teachers in the recipe: set loss.teachers, or remove --teacher"
            )
        if teacher_cache and not recipe.loss.teacher_views:
            raise RecipeError("--teacher-cache requires fixed views: set loss.teacher_views in the recipe")
        torch.manual_seed(recipe.seed)
        network = EmotionNetwork(
            recipe.network,
            len(train.classes),
            votes_head=recipe.loss.votes_head > 0,
            weights=weights,
            from_scratch=from_scratch,
        )
        self.new_classes = start_from(network, init, train.classes, _some(train, recipe)) if init else []
        self.network: EmotionNetwork = network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = ModelEmaV3(network, decay=recipe.ema_decay, use_warmup=True) if recipe.ema_decay else None
        self.teachers = (
            Teachers(teachers, recipe.network, train.classes).to(fabric.device).eval() if teachers else None
        )
        self.recipe, self.run, self.fabric = recipe, run, fabric
        self.train_split = Split(train, fabric.device)
        self.val_split = Split(validation, fabric.device)
        self.views = None
        if self.teachers and recipe.loss.teacher_views:
            folder = teacher_cache or run.path / "teacher-cache"
            self.views = TeacherViews(folder, recipe, self.train_split, self.teachers, teachers, fabric)
        labels = torch.from_numpy(train.labels)
        votes = (
            torch.zeros(len(train), len(train.classes)) if train.votes is None else torch.from_numpy(train.votes)
        )
        self.votes = votes.to(fabric.device)
        self.targets = soft_targets(labels, len(train.classes), recipe.loss, votes).to(fabric.device)
        balanced = balanced_weights(labels, len(train.classes))
        self.class_weights = balanced.to(fabric.device) if recipe.loss.class_weights == "balanced" else None
        self.row_weights = balanced[labels].double() if recipe.sampler == "balanced" else None
        self.steps = max(len(train) // (recipe.batch_size * fabric.world_size), 1)
        self.state = TrainState()
        self.board: SummaryWriter | None = None

    def fit(self) -> None:
        """Train to the last epoch, starting from the last checkpoint if there is one.

        Raises:
            RunError: A checkpoint is damaged or cannot be written.
        """
        resumed = self._resume()
        if self.fabric.is_global_zero:
            # Drop the points of an interrupted epoch; it runs again.
            self.board = SummaryWriter(self.run.path / "tensorboard", purge_step=self.state.epoch + 1)
        while self.state.phase < len(self.recipe.phases):
            phase = self.recipe.phases[self.state.phase]
            set_trainable(self.network, phase)
            # Wrap again in each phase: DDP fixes the set of trainable parameters when it wraps.
            model = self.fabric.setup_module(self.network)
            plain_optimizer = build_optimizer(self.network, phase)
            schedule = LRSchedule(plain_optimizer, phase, self.steps)
            optimizer: Any = self.fabric.setup_optimizers(plain_optimizer)
            if self.state.phase_epoch:
                restore(self.run.last, resumed, {"optimizer": optimizer, "rate": schedule})
            while self.state.in_phase(phase):
                self._epoch(phase, model, optimizer, schedule)
            self.state.next_phase()
        if self.board:
            self.board.close()

    def _epoch(self, phase: Phase, model: Any, optimizer: Any, schedule: LRSchedule) -> None:
        number = self.state.epoch
        view = self.views.load(number) if self.views else None
        torch.manual_seed((self.recipe.seed * 100_003 + number) * 1_009 + self.fabric.global_rank)
        started = time.perf_counter()
        train_mode(self.network)
        losses = []
        title = f"epoch {number + 1}/{self.recipe.epochs}"
        batches = track_progress(self._batches(number, view), self.steps, title, show=self.fabric.is_global_zero)
        for step, (rows, pixels) in enumerate(batches, number * self.steps):
            losses.append(self._step(phase, model, optimizer, rows, pixels, view))
            schedule.step()
            if self.ema:
                self.ema.update(self.network, step=step)
        seconds = time.perf_counter() - started
        evaluated = self.ema.module if self.ema else self.network
        accuracy = self._validate(evaluated)
        entry = {
            "epoch": number + 1,
            "phase": phase.name,
            "loss": round(float(torch.stack(losses).mean()), 5),
            "val_accuracy": round(accuracy, 5),
            "lr": schedule.lr,
            "seconds": round(seconds, 2),
            "images_per_second": round(len(losses) * self.recipe.batch_size * self.fabric.world_size / seconds, 1),
        }
        schedule.end_epoch(accuracy)
        better = accuracy > self.state.best
        self.state.end_epoch(accuracy)
        if self.fabric.is_global_zero:
            # Write last.ckpt at the end: if anything before it fails, a resumed run repeats the epoch.
            if better:
                best = {"network": evaluated, "epoch": number + 1, "accuracy": accuracy}
                save_checkpoint(self.run.best, best)
            self.run.log(entry)
            self._log_scalars(entry)
            save_checkpoint(
                self.run.last,
                self._parts() | {"optimizer": optimizer, "rate": schedule, "state": asdict(self.state)},
            )
            self.fabric.print(epoch_line(entry, self.recipe.epochs, self.state.best))

    def _validate(self, network: EmotionNetwork) -> float:
        """Return the validation accuracy of rank 0, so that all ranks take the same decisions.

        The batch-norm statistics of rank 0 are copied to the other ranks first.
        """
        if self.fabric.world_size > 1:
            for buffer in (*self.network.buffers(), *network.buffers()):
                torch.distributed.broadcast(buffer, src=0)
        accuracy = compute_accuracy(network, self.val_split, self.recipe, self.fabric)
        return float(self.fabric.broadcast(accuracy, src=0))

    def _log_scalars(self, entry: dict[str, Any]) -> None:
        if self.board:
            for name in ("loss", "val_accuracy", "lr", "images_per_second"):
                self.board.add_scalar(name, entry[name], entry["epoch"])
            self.board.flush()

    def _step(
        self, phase: Phase, model: Any, optimizer: Any, rows: Tensor, pixels: Tensor, view: View | None = None
    ) -> Tensor:
        recipe = self.recipe
        levels = as_levels(pixels, recipe.network, phase.input_size)
        levels = augment(levels, self._live_augment if view else recipe.augment)
        known = [self.targets[rows], self.votes[rows], *([view.probabilities[rows]] if view else [])]
        levels, mixed = mix(levels, torch.cat(known, dim=1), recipe.augment)
        targets, votes, *teacher_targets = torch.split(mixed, self.targets.shape[1], dim=1)
        levels = levels.contiguous(memory_format=torch.channels_last)
        if self.teachers and not teacher_targets:
            with self.fabric.autocast():
                teacher_targets = [self.teachers(levels)]
        if teacher_targets:
            targets = torch.lerp(targets, teacher_targets[0], recipe.loss.teachers)
        output = model(levels)
        logits, votes_logits = output if isinstance(output, tuple) else (output, None)
        loss = compute_loss(logits, targets, recipe.loss, self.class_weights)
        if votes_logits is not None:
            loss = loss + recipe.loss.votes_head * votes_loss(votes_logits, votes)
        self.fabric.backward(loss)
        if recipe.clip_norm:
            self.fabric.clip_gradients(model, optimizer, max_norm=recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    @property
    def _live_augment(self) -> Augment:
        """Augmentation on top of a stored view. Only the flip is left: the views are stored without it."""
        return Augment(flip=self.recipe.augment.flip)

    def _batches(self, epoch: int, view: View | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this process's batches of an epoch: row indices and images uint8 [B, C, H, W]."""
        generator = torch.Generator().manual_seed(self.recipe.seed * 100_003 + epoch)
        count = len(self.train_split)
        if self.row_weights is None:
            order = torch.randperm(count, generator=generator)
        else:
            order = torch.multinomial(self.row_weights, count, replacement=True, generator=generator)
        share = order[self.fabric.global_rank :: self.fabric.world_size]
        split = self.train_split.with_images(view.pixels) if view else self.train_split
        return split.batches(torch.split(share, self.recipe.batch_size)[: self.steps])

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network} | ({"ema": self.ema} if self.ema else {})

    def _resume(self) -> dict[str, Any]:
        """Restore the last checkpoint, if there is one, and return its content."""
        if not self.run.last.exists():
            return {}
        self.state, saved = resume(self.run.last, self.fabric.device, self._parts(), TrainState)
        self.fabric.print(f"resumed after epoch {self.state.epoch}")
        return saved


def _some(data: FaceDataset, recipe: Recipe) -> Tensor:
    """Return some images as network input, float [n, C, S, S]."""
    rows = np.random.default_rng(0).permutation(len(data))[:STATISTICS_IMAGES]
    pixels = torch.from_numpy(data.pixels(np.sort(rows))).permute(0, 3, 1, 2)
    return as_levels(pixels, recipe.network)
