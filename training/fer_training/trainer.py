"""The training loop: phases of epochs over images that lie on the device, or stream to it.

Every epoch draws its random numbers from the recipe's seed and its own number alone, so a run that was
interrupted and resumed at an epoch's start goes on exactly as an uninterrupted one.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from fer_training.augment import augment, mix
from fer_training.checkpoint import restore, resume, save_checkpoint
from fer_training.config import Augment, Phase, Recipe
from fer_training.data import FaceDataset
from fer_training.device import Split, accuracy_of
from fer_training.errors import RecipeError
from fer_training.losses import balanced_weights, loss_of, soft_targets, votes_loss
from fer_training.model import EmotionNetwork, as_levels
from fer_training.phases import LRSchedule, build_optimizer, set_trainable, train_mode
from fer_training.progress import epoch_line, tracked
from fer_training.run import RunFolder
from fer_training.teachers import Teachers
from fer_training.views import TaughtViews, View


@dataclass
class TrainState:
    """Where a run stands.

    Attributes:
        epoch: Epochs that have ended, all phases together.
        phase: Index of the phase that the next epoch belongs to.
        phase_epoch: Epochs of that phase that have ended.
        stale: How many of them since it had its best one.
        best: Best accuracy on the validation split.
        phase_best: Best accuracy of the phase.
    """

    epoch: int = 0
    phase: int = 0
    phase_epoch: int = 0
    stale: int = 0
    best: float = -1.0
    phase_best: float = -1.0

    def ended(self, accuracy: float) -> None:
        """An epoch has ended with this accuracy."""
        self.epoch += 1
        self.phase_epoch += 1
        self.stale = 0 if accuracy > self.phase_best else self.stale + 1
        self.phase_best = max(self.phase_best, accuracy)
        self.best = max(self.best, accuracy)

    def in_phase(self, phase: Phase) -> bool:
        """Whether the phase goes on."""
        return self.phase_epoch < phase.epochs and not (phase.patience and self.stale >= phase.patience)

    def next_phase(self) -> None:
        """The phase is over."""
        self.phase, self.phase_epoch, self.stale, self.phase_best = self.phase + 1, 0, 0, -1.0


class Trainer:
    """One run in progress."""

    def __init__(
        self,
        recipe: Recipe,
        train: FaceDataset,
        validation: FaceDataset,
        run: RunFolder,
        fabric: Fabric,
        *,
        weights: Path | None = None,
        from_scratch: bool = True,
        teachers: Sequence[RunFolder] = (),
        teacher_cache: Path | None = None,
    ) -> None:
        """Build the network and take the data to the device.

        Args:
            recipe: What to do.
            train: The training split.
            validation: The split whose accuracy chooses the best epoch.
            run: Where checkpoints and metrics go.
            fabric: Device, precision and processes; launched already.
            weights: A checkpoint of the timm network to begin with.
            from_scratch: Begin with random weights even where the recipe asks for pretrained ones.
            teachers: Finished runs to learn from, where the recipe has a share for them.
            teacher_cache: Folder of the teachers' answers, where the recipe has `loss.teacher_views`; the run's
                own unless given.

        Raises:
            RecipeError: the network cannot be built, or the recipe has no use for teachers, or lacks them.
            RunError: a teacher has no weights, or other classes.
        """
        if bool(teachers) != (recipe.loss.teachers > 0):
            raise RecipeError(
                "the recipe learns from teachers (loss.teachers): name finished runs with --teacher"
                if recipe.loss.teachers
                else "the recipe has no share for teachers: set loss.teachers"
            )
        if teacher_cache and not recipe.loss.teacher_views:
            raise RecipeError("--teacher-cache keeps answers about fixed views: set loss.teacher_views")
        torch.manual_seed(recipe.seed)
        network = EmotionNetwork(
            recipe.network,
            len(train.classes),
            votes_head=recipe.loss.votes_head > 0,
            weights=weights,
            from_scratch=from_scratch,
        )
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
            self.views = TaughtViews(folder, recipe, self.train_split, self.teachers, teachers, fabric)
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
        """Train to the end, from where the run folder's last checkpoint stands.

        Raises:
            RunError: a checkpoint is damaged or cannot be written.
        """
        resumed = self._resume()
        if self.fabric.is_global_zero:
            # What an interrupted epoch has drawn already is drawn again.
            self.board = SummaryWriter(self.run.path / "tensorboard", purge_step=self.state.epoch + 1)
        while self.state.phase < len(self.recipe.phases):
            phase = self.recipe.phases[self.state.phase]
            set_trainable(self.network, phase)
            # Wrapped anew a phase: DDP fixes the set of trainable parameters when it wraps.
            model = self.fabric.setup_module(self.network)
            plain_optimizer = build_optimizer(self.network, phase)
            rate = LRSchedule(plain_optimizer, phase, self.steps)
            optimizer: Any = self.fabric.setup_optimizers(plain_optimizer)
            if self.state.phase_epoch:
                restore(self.run.last, resumed, {"optimizer": optimizer, "rate": rate})
            while self.state.in_phase(phase):
                self._epoch(phase, model, optimizer, rate)
            self.state.next_phase()
        if self.board:
            self.board.close()

    def _epoch(self, phase: Phase, model: Any, optimizer: Any, rate: LRSchedule) -> None:
        number = self.state.epoch
        view = self.views.of(number) if self.views else None
        torch.manual_seed((self.recipe.seed * 100_003 + number) * 1_009 + self.fabric.global_rank)
        started = time.perf_counter()
        train_mode(self.network)
        losses = []
        title = f"epoch {number + 1}/{self.recipe.epochs}"
        batches = tracked(self._batches(number, view), self.steps, title, show=self.fabric.is_global_zero)
        for step, (rows, pixels) in enumerate(batches, number * self.steps):
            losses.append(self._step(phase, model, optimizer, rows, pixels, view))
            rate.step()
            if self.ema:
                self.ema.update(self.network, step=step)
        seconds = time.perf_counter() - started
        judged = self.ema.module if self.ema else self.network
        accuracy = self._validate(judged)
        entry = {
            "epoch": number + 1,
            "phase": phase.name,
            "loss": round(float(torch.stack(losses).mean()), 5),
            "val_accuracy": round(accuracy, 5),
            "lr": rate.current,
            "seconds": round(seconds, 2),
            "images_per_second": round(len(losses) * self.recipe.batch_size * self.fabric.world_size / seconds, 1),
        }
        rate.epoch(accuracy)
        better = accuracy > self.state.best
        self.state.ended(accuracy)
        if self.fabric.is_global_zero:
            # The checkpoint to resume from comes last: whatever fails before it is done again.
            if better:
                best = {"network": judged, "epoch": number + 1, "accuracy": accuracy}
                save_checkpoint(self.run.best, best)
            self.run.log(entry)
            self._log_scalars(entry)
            save_checkpoint(
                self.run.last,
                self._parts() | {"optimizer": optimizer, "rate": rate, "state": asdict(self.state)},
            )
            self.fabric.print(epoch_line(entry, self.recipe.epochs, self.state.best))

    def _validate(self, network: EmotionNetwork) -> float:
        """The accuracy that all processes go on with; of their batch statistics the first one's count."""
        if self.fabric.world_size > 1:
            for buffer in (*self.network.buffers(), *network.buffers()):
                torch.distributed.broadcast(buffer, src=0)
        accuracy = accuracy_of(network, self.val_split, self.recipe, self.fabric)
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
        known = [self.targets[rows], self.votes[rows], *([view.answers[rows]] if view else [])]
        levels, mixed = mix(levels, torch.cat(known, dim=1), recipe.augment)
        targets, votes, *answers = torch.split(mixed, self.targets.shape[1], dim=1)
        levels = levels.contiguous(memory_format=torch.channels_last)
        if self.teachers and not answers:
            with self.fabric.autocast():
                answers = [self.teachers(levels)]
        if answers:
            targets = torch.lerp(targets, answers[0], recipe.loss.teachers)
        output = model(levels)
        logits, votes_logits = output if isinstance(output, tuple) else (output, None)
        loss = loss_of(logits, targets, recipe.loss, self.class_weights)
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
        """What is left to change of a view: it has no flip, so that the same view is seen in two ways."""
        return Augment(flip=self.recipe.augment.flip)

    def _batches(self, epoch: int, view: View | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's share of the epoch: rows, and their images uint8 [B, C, H, W]."""
        generator = torch.Generator().manual_seed(self.recipe.seed * 100_003 + epoch)
        count = len(self.train_split)
        if self.row_weights is None:
            order = torch.randperm(count, generator=generator)
        else:
            order = torch.multinomial(self.row_weights, count, replacement=True, generator=generator)
        share = order[self.fabric.global_rank :: self.fabric.world_size]
        split = self.train_split.showing(view.pixels) if view else self.train_split
        return split.batches(torch.split(share, self.recipe.batch_size)[: self.steps])

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network} | ({"ema": self.ema} if self.ema else {})

    def _resume(self) -> dict[str, Any]:
        """Take up the last checkpoint, if there is one; return what is needed later."""
        if not self.run.last.exists():
            return {}
        self.state, saved = resume(self.run.last, self.fabric.device, self._parts(), TrainState)
        self.fabric.print(f"resumed after epoch {self.state.epoch}")
        return saved
