"""The detector's training loop: epochs of composed images, judged on the held-out photographs.

Every epoch draws its random numbers from the recipe's seed and its own number alone, so a run that was interrupted
and resumed goes on exactly as an uninterrupted one.
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
from fer_training.detector.batches import Batch, batches, steps_of
from fer_training.detector.export_wrapper import TorchDetector
from fer_training.detector.loss import detection_loss
from fer_training.detector.network import DetectorNetwork, anchor_points
from fer_training.detector.recipe import DetectorRecipe
from fer_training.detector.scene_generator import SceneGenerator
from fer_training.detector.scoring import evaluate
from fer_training.detector.widening import widen
from fer_training.errors import RunError
from fer_training.phases import LRSchedule, build_optimizer
from fer_training.progress import epoch_line, tracked
from fer_training.run import RunFolder

JUDGED_SIDE = 640


@dataclass
class TrainState:
    """Where a run stands: epochs that have ended, and the best average precision of them, for who watches."""

    epoch: int = 0
    best: float = -1.0


class DetectorTrainer:
    """One run in progress."""

    def __init__(self, recipe: DetectorRecipe, assets: SceneAssets, run: RunFolder, fabric: Fabric) -> None:
        """Build the network.

        Args:
            recipe: What to do.
            assets: What the training images are made from, and the photographs to evaluate by.
            run: Where checkpoints and metrics go.
            fabric: Device and precision; launched already.

        Raises:
            RunError: there are several processes.
        """
        if fabric.world_size > 1:
            raise RunError("a detector is trained by one process: its network is too small to share")
        self.recipe, self.run, self.fabric = recipe, run, fabric
        self._build(1)
        self.assets = assets
        self.held_out = [photo.shrunk(JUDGED_SIDE) for photo in assets.held_out]
        self.steps = steps_of(recipe)
        self.state = TrainState()

    def _build(self, epoch: int) -> None:
        """Build the network of an epoch, the first of which is 1, with random weights."""
        torch.manual_seed(self.recipe.seed * 100_003 + epoch - 1)
        network = DetectorNetwork(self.recipe.network_in(epoch))
        self.network: DetectorNetwork = network.to(self.fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = ModelEmaV3(self.network, decay=self.recipe.ema_decay, use_warmup=True)
        self.model: Any = self.fabric.setup_module(self.network)

    def _widen(self, epoch: int) -> None:
        """Widen the network to that of an epoch; what it answers stays the same."""
        network, average = self.network, self.ema.module
        self._build(epoch)
        widen(self.network, network)
        widen(self.ema.module, average)

    def fit(self) -> None:
        """Train to the end, from where the run folder's last checkpoint stands.

        Raises:
            RunError: a checkpoint is damaged or cannot be written.
        """
        taken_up = self._resume()
        # What an interrupted epoch has drawn already is drawn again.
        with SummaryWriter(self.run.path / "tensorboard", purge_step=self.state.epoch + 1) as board:
            end = 0
            for phase in self.recipe.phases:
                begin, end = end, end + phase.epochs
                if self.state.epoch >= end:
                    continue
                if self.state.epoch == begin and phase.network is not None:
                    self._widen(begin + 1)
                composer = self.assets.composer(self.recipe.compose_in(phase))
                plain = build_optimizer(self.network, phase)
                rate = LRSchedule(plain, phase, self.steps)
                optimizer = self.fabric.setup_optimizers(plain)
                if self.state.epoch > begin:
                    restore(self.run.last, taken_up, {"optimizer": optimizer, "rate": rate})
                while self.state.epoch < end:
                    self._show(board, self._epoch(phase, composer, optimizer, rate))

    def _epoch(self, phase: Phase, composer: SceneGenerator, optimizer: Any, rate: LRSchedule) -> dict[str, Any]:
        number = self.state.epoch
        torch.manual_seed(self.recipe.seed * 100_003 + number)
        started, losses, count = time.perf_counter(), [], 0
        self.network.train()
        title = f"epoch {number + 1}/{self.recipe.epochs}"
        made = tracked(batches(composer, self.recipe, number), self.steps, title, show=True)
        for step, batch in enumerate(made, number * self.steps):
            losses.append(self._step(batch, optimizer))
            rate.step()
            self.ema.update(self.network, step=step)
            count += len(batch.pixels)
        seconds = time.perf_counter() - started
        found = self._judged()
        entry = {
            "epoch": number + 1,
            "phase": phase.name,
            "loss": round(float(torch.stack(losses).mean()), 5),
            "val_ap50": round(found, 5),
            "lr": rate.current,
            "seconds": round(seconds, 2),
            "images_per_second": round(count / seconds, 1),
        }
        self.state = TrainState(number + 1, max(found, self.state.best))
        # The checkpoint comes last: whatever fails before it is done again.
        self.run.log(entry)
        save_checkpoint(
            self.run.last,
            self._weights() | {"optimizer": optimizer, "rate": rate, "state": asdict(self.state)},
        )
        self.fabric.print(epoch_line(entry, self.recipe.epochs, self.state.best, "ap50"))
        return entry

    def _step(self, batch: Batch, optimizer: Any) -> Tensor:
        batch = batch.to(self.fabric.device)
        levels = batch.pixels.permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        cells = anchor_points(levels.shape[2], levels.shape[3], levels.device)
        loss = detection_loss(self.model(levels), cells, batch.faces, batch.ignored, self.recipe)
        self.fabric.backward(loss)
        if self.recipe.clip_norm:
            self.fabric.clip_gradients(self.model, optimizer, max_norm=self.recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def _judged(self) -> float:
        """The average precision of the averaged weights on the held-out photographs."""
        judged = evaluate(TorchDetector(self.ema.module, JUDGED_SIDE), self.held_out)
        return judged.average_precision(*judged.kinds()["all"])

    def _show(self, board: SummaryWriter, entry: dict[str, Any]) -> None:
        for name in ("loss", "val_ap50", "lr", "images_per_second"):
            if entry[name] is not None:
                board.add_scalar(name, entry[name], entry["epoch"])
        board.flush()

    def _weights(self) -> dict[str, Any]:
        return {"network": self.network, "ema": self.ema}

    def _resume(self) -> dict[str, Any]:
        """Take up the last checkpoint, if there is one; returns what it holds."""
        if not self.run.last.exists():
            return {}
        self._build(epochs_of(load_checkpoint(self.run.last)))
        self.state, held = resume(self.run.last, self.fabric.device, self._weights(), TrainState)
        self.fabric.print(f"resumed after epoch {self.state.epoch}")
        return held


def epochs_of(saved: dict[str, Any]) -> int:
    """After how many epochs a checkpoint was saved; 0 where it does not say, as another run's."""
    state = saved.get("state")
    return int(state.get("epoch", 0)) if isinstance(state, dict) else 0
