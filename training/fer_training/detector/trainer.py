"""Training loop of the detector: generated images for training, held-out photographs for validation.

The random numbers of an epoch depend only on the recipe's seed and on the epoch's number. A resumed run therefore
equals an uninterrupted one.
"""

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from lightning.fabric import Fabric
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from fer_training.checkpoint import load_checkpoint, restore, resume, save_checkpoint
from fer_training.config import Phase
from fer_training.detector.assets import SceneAssets
from fer_training.detector.batches import Batch, batches, steps_per_epoch
from fer_training.detector.export_wrapper import TorchDetector
from fer_training.detector.loss import detection_loss
from fer_training.detector.network import DetectorNetwork, anchor_points
from fer_training.detector.recipe import DetectorRecipe
from fer_training.detector.scene_generator import SceneGenerator
from fer_training.detector.scoring import evaluate
from fer_training.detector.widening import widen
from fer_training.errors import RunError
from fer_training.phases import LRSchedule, build_optimizer
from fer_training.progress import epoch_line, track_progress
from fer_training.run import RunFolder

EVAL_SIDE = 640


@dataclass
class TrainState:
    """Progress of a run: completed epochs, and their best average precision (shown in the log only)."""

    epoch: int = 0
    best: float = -1.0


class DetectorTrainer:
    """Trains one run."""

    def __init__(self, recipe: DetectorRecipe, assets: SceneAssets, run: RunFolder, fabric: Fabric) -> None:
        """Build the network.

        Args:
            recipe: Recipe of the run.
            assets: Training data and held-out photographs.
            run: Folder for checkpoints and metrics.
            fabric: Device and precision. It must be launched.

        Raises:
            RunError: `torchrun` started several processes.
        """
        if fabric.world_size > 1:
            raise RunError("detector training runs in one process only: start it without torchrun")
        self.recipe, self.run, self.fabric = recipe, run, fabric
        self._build(1)
        self.assets = assets
        self.held_out = [photo.shrunk(EVAL_SIDE) for photo in assets.held_out]
        self.steps = steps_per_epoch(recipe)
        self.state = TrainState()

    def _build(self, epoch: int) -> None:
        """Build the network of an epoch (the first is 1) with random weights."""
        torch.manual_seed(self.recipe.seed * 100_003 + epoch - 1)
        network = DetectorNetwork(self.recipe.widths_at(epoch))
        self.network: DetectorNetwork = network.to(self.fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = ModelEmaV3(self.network, decay=self.recipe.ema_decay, use_warmup=True)
        self.model: Any = self.fabric.setup_module(self.network)

    def _widen(self, epoch: int) -> None:
        """Widen the network for an epoch. Its output stays the same."""
        network, average = self.network, self.ema.module
        self._build(epoch)
        widen(self.network, network)
        widen(self.ema.module, average)

    def fit(self) -> None:
        """Train to the last epoch, starting from the last checkpoint if there is one.

        Raises:
            RunError: A checkpoint is damaged or cannot be written.
        """
        saved = self._resume()
        # Drop the points of an interrupted epoch; it runs again.
        with SummaryWriter(self.run.path / "tensorboard", purge_step=self.state.epoch + 1) as board:
            end = 0
            for phase in self.recipe.phases:
                begin, end = end, end + phase.epochs
                if self.state.epoch >= end:
                    continue
                if self.state.epoch == begin and phase.network is not None:
                    self._widen(begin + 1)
                generator = self.assets.scene_generator(self.recipe.scene_config(phase))
                plain_optimizer = build_optimizer(self.network, phase)
                schedule = LRSchedule(plain_optimizer, phase, self.steps)
                optimizer = self.fabric.setup_optimizers(plain_optimizer)
                if self.state.epoch > begin:
                    restore(self.run.last, saved, {"optimizer": optimizer, "rate": schedule})
                while self.state.epoch < end:
                    self._log_scalars(board, self._epoch(phase, generator, optimizer, schedule))

    def _epoch(
        self, phase: Phase, generator: SceneGenerator, optimizer: Any, schedule: LRSchedule
    ) -> dict[str, Any]:
        number = self.state.epoch
        torch.manual_seed(self.recipe.seed * 100_003 + number)
        started, losses, count = time.perf_counter(), [], 0
        self.network.train()
        title = f"epoch {number + 1}/{self.recipe.epochs}"
        made = track_progress(batches(generator, self.recipe, number), self.steps, title, show=True)
        for step, batch in enumerate(made, number * self.steps):
            losses.append(self._step(batch, optimizer))
            schedule.step()
            self.ema.update(self.network, step=step)
            count += len(batch.pixels)
        seconds = time.perf_counter() - started
        ap50 = self._validate()
        entry = {
            "epoch": number + 1,
            "phase": phase.name,
            "loss": round(float(torch.stack(losses).mean()), 5),
            "val_ap50": round(ap50, 5),
            "lr": schedule.lr,
            "seconds": round(seconds, 2),
            "images_per_second": round(count / seconds, 1),
        }
        self.state = TrainState(number + 1, max(ap50, self.state.best))
        # Write last.ckpt at the end: if anything before it fails, a resumed run repeats the epoch.
        self.run.log(entry)
        save_checkpoint(
            self.run.last,
            self._weights() | {"optimizer": optimizer, "rate": schedule, "state": asdict(self.state)},
        )
        self.fabric.print(epoch_line(entry, self.recipe.epochs, self.state.best, "ap50"))
        return entry

    def _step(self, batch: Batch, optimizer: Any) -> Tensor:
        batch = batch.to(self.fabric.device)
        levels = batch.pixels.permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        points = anchor_points(levels.shape[2], levels.shape[3], levels.device)
        loss = detection_loss(self.model(levels), points, batch.faces, batch.ignored, self.recipe)
        self.fabric.backward(loss)
        if self.recipe.clip_norm:
            self.fabric.clip_gradients(self.model, optimizer, max_norm=self.recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def _validate(self) -> float:
        """Return the AP50 of the averaged weights on the held-out photographs."""
        result = evaluate(TorchDetector(self.ema.module, EVAL_SIDE), self.held_out)
        return result.average_precision(*result.kinds()["all"])

    def _log_scalars(self, board: SummaryWriter, entry: dict[str, Any]) -> None:
        for name in ("loss", "val_ap50", "lr", "images_per_second"):
            if entry[name] is not None:
                board.add_scalar(name, entry[name], entry["epoch"])
        board.flush()

    def _weights(self) -> dict[str, Any]:
        return {"network": self.network, "ema": self.ema}

    def _resume(self) -> dict[str, Any]:
        """Restore the last checkpoint, if there is one, and return its content."""
        if not self.run.last.exists():
            return {}
        self._build(completed_epochs(load_checkpoint(self.run.last)))
        self.state, content = resume(self.run.last, self.fabric.device, self._weights(), TrainState)
        self.fabric.print(f"resumed after epoch {self.state.epoch}")
        return content


def completed_epochs(saved: dict[str, Any]) -> int:
    """Return the completed epochs of a checkpoint, or 0 for a checkpoint of another kind."""
    state = saved.get("state")
    return int(state.get("epoch", 0)) if isinstance(state, dict) else 0
