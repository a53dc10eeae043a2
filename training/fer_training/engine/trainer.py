"""The training loop.

The random numbers of an epoch depend only on the recipe's seed and on the epoch's number. A resumed run therefore
equals an uninterrupted one.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, cast

import torch
from lightning.fabric import Fabric
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from fer_training.engine.checkpoint import load_checkpoint, restore, save_checkpoint, saved_state
from fer_training.engine.optimizer import build_optimizer, train_mode
from fer_training.engine.progress import epoch_line, track_progress
from fer_training.engine.recipe import Phase, Recipe
from fer_training.engine.run_folder import RunFolder
from fer_training.engine.schedule import LRSchedule
from fer_training.engine.state import TrainState
from fer_training.engine.task import Learner
from fer_training.errors import RunError


class Trainer:
    """Trains one run."""

    def __init__(self, recipe: Recipe, learner: Learner[Any], run: RunFolder, fabric: Fabric) -> None:
        """Build the network.

        Args:
            recipe: Recipe of the run.
            learner: The task's part of the training.
            run: Folder for checkpoints and metrics.
            fabric: Device, precision and processes. It must be launched.
        """
        self.recipe, self.learner, self.run, self.fabric = recipe, learner, run, fabric
        self.state = TrainState()
        self.network, self.ema = self._build(0)
        self._board: SummaryWriter | None = None

    def fit(self) -> None:
        """Train to the last epoch, starting from the last checkpoint if there is one.

        Raises:
            RunError: A checkpoint is damaged or cannot be written.
        """
        saved = self._resume()
        if self.fabric.is_global_zero:
            # Drop the points of an interrupted epoch; it runs again.
            folder = self.run.path / "tensorboard"
            try:
                self._board = SummaryWriter(folder, purge_step=self.state.epoch + 1)
            except OSError as error:
                raise RunError(f"cannot write to {folder}: {error.strerror or error}") from error
        while self.state.phase < len(self.recipe.phases):
            phase = self.recipe.phases[self.state.phase]
            if not self.state.phase_epoch and self.state.phase and self.learner.changes_network(self.state.phase):
                self._change_network()
            self.learner.begin_phase(self.state.phase, self.network)
            # Wrap again in each phase: DDP fixes the set of trainable parameters when it wraps.
            model = self.fabric.setup_module(self.network)
            plain_optimizer = build_optimizer(self.network, phase.optimizer)
            schedule = LRSchedule(plain_optimizer, phase, self.learner.steps)
            optimizer: Any = self.fabric.setup_optimizers(plain_optimizer)
            if self.state.phase_epoch:
                restore(self.run.last, saved, {"optimizer": optimizer, "rate": schedule})
            while self.state.in_phase(phase):
                self._epoch(phase, model, optimizer, schedule)
            self.state.next_phase()
        if self._board:
            self._board.close()

    def _epoch(self, phase: Phase, model: Any, optimizer: Any, schedule: LRSchedule) -> None:
        number = self.state.epoch
        torch.manual_seed((self.recipe.seed * 100_003 + number) * 1_009 + self.fabric.global_rank)
        started, losses, images = time.perf_counter(), [], 0
        train_mode(self.network)
        for step, batch in enumerate(self._batches(number), number * self.learner.steps):
            losses.append(self._step(model, optimizer, batch))
            schedule.step()
            if self.ema:
                self.ema.update(self.network, step=step)
            images += len(batch)
        # Waits for the device. The mean of all processes: one that raised alone would leave the others waiting.
        loss = float(cast(Tensor, self.fabric.all_reduce(torch.stack(losses).mean(), reduce_op="mean")))
        seconds = time.perf_counter() - started
        if not math.isfinite(loss):
            other = "" if self.recipe.clip_norm else " or set clip_norm"
            raise RunError(
                f"the loss of epoch {number + 1} is {loss}: lower the learning rate (optimizer.lr){other}, and "
                "train into another folder"
            )
        evaluated: nn.Module = self.ema.module if self.ema else self.network
        metric = self._validate(evaluated)
        entry = {
            "epoch": number + 1,
            "phase": phase.name,
            "loss": round(loss, 5),
            f"val_{self.learner.metric}": round(metric, 5),
            "lr": schedule.lr,
            "seconds": round(seconds, 2),
            "images_per_second": round(images * self.fabric.world_size / seconds, 1),
        }
        schedule.end_epoch(metric)
        better = metric > self.state.best
        self.state.end_epoch(metric)
        if self.fabric.is_global_zero:
            # Write last.ckpt at the end: if anything before it fails, a resumed run repeats the epoch.
            if better and self.learner.keeps_best:
                best = {"network": evaluated, "epoch": number + 1, self.learner.metric: metric}
                save_checkpoint(self.run.best, best)
            self.run.log(entry)
            self._log_scalars(entry)
            save_checkpoint(
                self.run.last,
                self._weights() | {"optimizer": optimizer, "rate": schedule, "state": asdict(self.state)},
            )
            self.fabric.print(epoch_line(entry, self.recipe.epochs, self.state.best, self.learner.metric))

    def _batches(self, epoch: int) -> Iterator[Any]:
        title = f"epoch {epoch + 1}/{self.recipe.epochs}"
        batches, steps = self.learner.batches(epoch), self.learner.steps
        return track_progress(batches, steps, title, show=self.fabric.is_global_zero)

    def _step(self, model: Any, optimizer: Any, batch: Any) -> Tensor:
        loss = self.learner.loss(model, batch)
        self.fabric.backward(loss)
        if self.recipe.clip_norm:
            # Its check for finite values would wait for the device at every step.
            self.fabric.clip_gradients(model, optimizer, max_norm=self.recipe.clip_norm, error_if_nonfinite=False)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def _validate(self, network: nn.Module) -> float:
        """Return the metric of rank 0, so that all ranks take the same decisions.

        The batch-norm statistics of rank 0 are copied to the other ranks first.
        """
        if self.fabric.world_size > 1:
            for buffer in (*self.network.buffers(), *network.buffers()):
                torch.distributed.broadcast(buffer, src=0)
        return float(self.fabric.broadcast(self.learner.validate(network), src=0))

    def _log_scalars(self, entry: dict[str, Any]) -> None:
        if self._board:
            for name in ("loss", f"val_{self.learner.metric}", "lr", "images_per_second"):
                self._board.add_scalar(name, entry[name], entry["epoch"])
            self._board.flush()

    def _build(self, phase: int) -> tuple[nn.Module, ModelEmaV3 | None]:
        """Return the network of a phase and its average, with random weights."""
        torch.manual_seed(self.recipe.seed + phase)
        network: nn.Module = self.learner.build(phase).to(  # type: ignore[call-overload]
            self.fabric.device, memory_format=torch.channels_last
        )
        decay = self.recipe.ema_decay
        return network, ModelEmaV3(network, decay=decay, use_warmup=True) if decay else None

    def _change_network(self) -> None:
        before, average = self.network, self.ema
        self.network, self.ema = self._build(self.state.phase)
        self.learner.adopt(self.network, before)
        if self.ema and average:
            self.learner.adopt(self.ema.module, average.module)

    def _weights(self) -> dict[str, Any]:
        return {"network": self.network} | ({"ema": self.ema} if self.ema else {})

    def _resume(self) -> dict[str, Any]:
        """Restore the last checkpoint, if there is one, and return its content."""
        if not self.run.last.exists():
            return {}
        saved = load_checkpoint(self.run.last, self.fabric.device)
        self.state = saved_state(self.run.last, saved, TrainState)
        if any(self.learner.changes_network(phase) for phase in range(1, self.state.phase + 1)):
            self.network, self.ema = self._build(self.state.phase)
        restore(self.run.last, saved, self._weights())
        self.fabric.print(f"resumed after epoch {self.state.epoch}")
        return saved
