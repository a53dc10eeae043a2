"""The detector's training loop: epochs of composed pictures, judged on the held-out photographs.

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

from training.checkpoint import load_checkpoint, restore, save_checkpoint, take_up
from training.config import Phase
from training.detector.batches import Batch, batches, steps_of
from training.detector.compose import Composer
from training.detector.growth import take_over
from training.detector.loss import detection_loss
from training.detector.material import Material
from training.detector.network import DetectorNetwork, cells_of
from training.detector.recipe import DetectorRecipe
from training.detector.scoring import judge
from training.detector.served import TorchDetector
from training.errors import RunError
from training.phases import Rate, build_optimizer
from training.progress import epoch_line, tracked
from training.run import RunFolder

JUDGED_SIDE = 640


@dataclass
class Standing:
    """Where a run stands: epochs that have ended, and the best average precision of them, for who watches."""

    epoch: int = 0
    best: float = -1.0


class DetectorTraining:
    """One run in progress."""

    def __init__(self, recipe: DetectorRecipe, material: Material, run: RunFolder, fabric: Fabric) -> None:
        """Build the network.

        Args:
            recipe: What to do.
            material: What the training pictures are made from, and the photographs to judge by.
            run: Where checkpoints and metrics go.
            fabric: Device and precision; launched already.

        Raises:
            RunError: there are several processes.
        """
        if fabric.world_size > 1:
            raise RunError("a detector is trained by one process: its network is too small to share")
        self.recipe, self.run, self.fabric = recipe, run, fabric
        self._build(1)
        self.material = material
        self.held_out = [photo.shrunk(JUDGED_SIDE) for photo in material.held_out]
        self.steps = steps_of(recipe)
        self.standing = Standing()

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
        take_over(self.network, network)
        take_over(self.ema.module, average)

    def go(self) -> None:
        """Train to the end, from where the run folder's last checkpoint stands.

        Raises:
            RunError: a checkpoint is damaged or cannot be written.
        """
        taken_up = self._resume()
        # What an interrupted epoch has drawn already is drawn again.
        with SummaryWriter(self.run.path / "tensorboard", purge_step=self.standing.epoch + 1) as board:
            end = 0
            for phase in self.recipe.phases:
                begin, end = end, end + phase.epochs
                if self.standing.epoch >= end:
                    continue
                if self.standing.epoch == begin and phase.network is not None:
                    self._widen(begin + 1)
                composer = self.material.composer(self.recipe.compose_in(phase))
                plain = build_optimizer(self.network, phase)
                rate = Rate(plain, phase, self.steps)
                optimizer = self.fabric.setup_optimizers(plain)
                if self.standing.epoch > begin:
                    restore(self.run.last, taken_up, {"optimizer": optimizer, "rate": rate})
                while self.standing.epoch < end:
                    self._show(board, self._epoch(phase, composer, optimizer, rate))

    def _epoch(self, phase: Phase, composer: Composer, optimizer: Any, rate: Rate) -> dict[str, Any]:
        number = self.standing.epoch
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
            "select_ap50": round(found, 5),
            "lr": rate.current,
            "seconds": round(seconds, 2),
            "images_per_second": round(count / seconds, 1),
        }
        self.standing = Standing(number + 1, max(found, self.standing.best))
        # The checkpoint comes last: whatever fails before it is done again.
        self.run.log(entry)
        save_checkpoint(
            self.run.last,
            self._weights() | {"optimizer": optimizer, "rate": rate, "standing": asdict(self.standing)},
        )
        self.fabric.print(epoch_line(entry, self.recipe.epochs, self.standing.best, "ap50"))
        return entry

    def _step(self, batch: Batch, optimizer: Any) -> Tensor:
        batch = batch.to(self.fabric.device)
        levels = batch.pixels.permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        cells = cells_of(levels.shape[2], levels.shape[3], levels.device)
        loss = detection_loss(self.model(levels), cells, batch.faces, batch.ignored, self.recipe)
        self.fabric.backward(loss)
        if self.recipe.clip_norm:
            self.fabric.clip_gradients(self.model, optimizer, max_norm=self.recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def _judged(self) -> float:
        """The average precision of the averaged weights on the held-out photographs."""
        judged = judge(TorchDetector(self.ema.module, JUDGED_SIDE), self.held_out)
        return judged.average_precision(*judged.kinds()["all"])

    def _show(self, board: SummaryWriter, entry: dict[str, Any]) -> None:
        for name in ("loss", "select_ap50", "lr", "images_per_second"):
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
        self.standing, held = take_up(self.run.last, self.fabric.device, self._weights(), Standing)
        self.fabric.print(f"resumed after epoch {self.standing.epoch}")
        return held


def epochs_of(saved: dict[str, Any]) -> int:
    """After how many epochs a checkpoint was saved; 0 where it does not say, as another run's."""
    standing = saved.get("standing")
    return int(standing.get("epoch", 0)) if isinstance(standing, dict) else 0
