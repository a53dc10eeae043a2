"""The training loop: phases of epochs over tensors that already lie on the device.

Every epoch draws its random numbers from the recipe's seed and its own number alone, so a run that was
interrupted and resumed at an epoch's start goes on exactly as an uninterrupted one.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor

from training.augment import augment, mix
from training.config import Phase, Recipe
from training.data import FaceDataset
from training.errors import RunError
from training.losses import loss_of, soft_targets
from training.model import EmotionNetwork
from training.phases import build_optimizer, build_schedule, set_trainable, train_mode
from training.run import RunFolder

_EVALUATION_BATCH = 512


class SpeedColumn(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        """The column's text."""
        return Text(f"{task.speed:.1f} steps/s" if task.speed else "")


def build_fabric(device: str = "auto") -> Fabric:
    """Lightning Fabric with bf16 where the device computes in it; several processes under `torchrun`."""
    bf16 = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else _cpu_has_bf16()
    try:
        return Fabric(
            accelerator=device,
            devices=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
            precision="bf16-mixed" if bf16 else "32-true",
        )
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise RunError(f"--device {device}: {' '.join(str(error).split())}") from error


def train(recipe: Recipe, fit: FaceDataset, select: FaceDataset, run: RunFolder, fabric: Fabric) -> None:
    """Train as the recipe says, or go on where the run folder's last checkpoint stands.

    Args:
        recipe: What to do.
        fit: The split that the weights are fitted to.
        select: The split by whose accuracy the best epoch is chosen.
        run: Where checkpoints and metrics go.
        fabric: Device, precision and processes; launched already.
    """
    torch.manual_seed(recipe.seed)
    network = EmotionNetwork(recipe.network, len(fit.classes))
    network = network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = ModelEmaV3(network, decay=recipe.ema_decay, use_warmup=True) if recipe.ema_decay else None
    judged = ema.module if ema else network
    size, channels = recipe.network.input_size, recipe.network.channels
    images = _images(fit.fitted(size, channels), fabric)
    votes = None if fit.votes is None else torch.from_numpy(fit.votes)
    targets = soft_targets(torch.from_numpy(fit.labels), len(fit.classes), recipe.loss, votes).to(fabric.device)
    select_images, select_labels = _images(select.fitted(size, channels), fabric), torch.from_numpy(select.labels)
    steps = max(len(fit) // (recipe.batch_size * fabric.world_size), 1)

    state: dict[str, Any] = {"network": network, "epoch": 0, "best": -1.0}
    if ema:
        state["ema"] = ema
    resumed = _resume(run, state, fabric)
    epoch = 0
    for phase in recipe.phases:
        first, epoch = epoch, epoch + phase.epochs
        if state["epoch"] >= epoch:
            continue
        set_trainable(network, phase)
        # Wrapped anew a phase: DDP fixes the set of trainable parameters when it wraps.
        model = fabric.setup_module(network)
        plain_optimizer = build_optimizer(network, phase)
        schedule = build_schedule(plain_optimizer, phase, steps)
        optimizer: Any = fabric.setup_optimizers(plain_optimizer)
        if state["epoch"] > first:
            optimizer.load_state_dict(resumed["optimizer"])
            schedule.load_state_dict(resumed["schedule"])
        for number in range(state["epoch"], epoch):
            torch.manual_seed((recipe.seed * 100_003 + number) * 1_009 + fabric.global_rank)
            started = time.perf_counter()
            train_mode(network)
            losses = []
            for step, index in enumerate(_batches(len(fit), steps, recipe, number, fabric), number * steps):
                losses.append(_step(model, optimizer, recipe, images[index], targets[index], fabric))
                schedule.step()
                if ema:
                    ema.update(network, step=step)
            seconds = time.perf_counter() - started
            accuracy = _accuracy(logits_of(judged, select_images, fabric), select_labels)
            state |= {"epoch": number + 1, "best": max(state["best"], accuracy)}
            if fabric.is_global_zero:
                # The checkpoint to resume from comes last: whatever fails before it is done again.
                if accuracy >= state["best"]:
                    _save(run.best, {"network": judged.state_dict(), "epoch": number + 1, "accuracy": accuracy})
                entry = _entry(number + 1, phase, losses, accuracy, float(schedule.get_last_lr()[0]), seconds)
                run.log(entry)
                extra = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
                _save(run.last, _plain(state) | extra)
                fabric.print(_line(entry, recipe.epochs, state["best"]))


def logits_of(network: EmotionNetwork, images: Tensor, fabric: Fabric) -> Tensor:
    """Logits float32 [N, classes] of uint8 pictures [N, C, S, S], in evaluation mode."""
    network.eval()
    with torch.inference_mode(), fabric.autocast():
        parts = [
            network(part.float().contiguous(memory_format=torch.channels_last))
            for part in torch.split(images, _EVALUATION_BATCH)
        ]
    return torch.cat(parts).float()


def _step(model: Any, optimizer: Any, recipe: Recipe, images: Tensor, targets: Tensor, fabric: Fabric) -> Tensor:
    levels = augment(images.float(), recipe.augment)
    if recipe.loss.mixup:
        levels, targets = mix(levels, targets, recipe.loss.mixup)
    loss = loss_of(model(levels.contiguous(memory_format=torch.channels_last)), targets)
    fabric.backward(loss)
    if recipe.clip_norm:
        fabric.clip_gradients(model, optimizer, max_norm=recipe.clip_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.detach()


def _batches(count: int, steps: int, recipe: Recipe, epoch: int, fabric: Fabric) -> Iterator[Tensor]:
    """This process's share of the epoch's order, a batch at a time, with a progress bar on the first."""
    generator = torch.Generator().manual_seed(recipe.seed * 100_003 + epoch)
    order = torch.randperm(count, generator=generator)[fabric.global_rank :: fabric.world_size]
    columns = (
        TextColumn(f"epoch {epoch + 1}/{recipe.epochs}"),
        BarColumn(),
        MofNCompleteColumn(),
        SpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=True, disable=not fabric.is_global_zero) as progress:
        for index in progress.track(torch.split(order, recipe.batch_size)[:steps]):
            yield index.to(fabric.device)


def _images(data: FaceDataset, fabric: Fabric) -> Tensor:
    """A split's pictures on the device, uint8 [N, C, S, S]."""
    return torch.from_numpy(data.images).permute(0, 3, 1, 2).contiguous().to(fabric.device)


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(dim=1).cpu() == labels).float().mean())


def _resume(run: RunFolder, state: dict[str, Any], fabric: Fabric) -> dict[str, Any]:
    """Fill `state` from the last checkpoint, if there is one; return what else the checkpoint holds."""
    if not run.last.exists():
        return {}
    try:
        saved: dict[str, Any] = torch.load(run.last, map_location=fabric.device, weights_only=True)
        for name, value in state.items():
            if hasattr(value, "load_state_dict"):
                value.load_state_dict(saved.pop(name))
            else:
                state[name] = saved.pop(name)
    except (OSError, RuntimeError, KeyError, EOFError, UnpicklingError) as error:
        raise RunError(f"{run.last} cannot be resumed from: {' '.join(str(error).split())[:200]}") from error
    fabric.print(f"resumed after epoch {state['epoch']}")
    return saved


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value.state_dict() if hasattr(value, "state_dict") else value for name, value in state.items()}


def _save(path: Path, content: dict[str, Any]) -> None:
    """Write beside, then rename: a checkpoint is there whole or not at all."""
    partial = path.with_suffix(".partial")
    try:
        torch.save(content, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        raise RunError(f"{path} cannot be written ({error}); the checkpoint before it is still there") from error


def _entry(
    epoch: int, phase: Phase, losses: list[Tensor], accuracy: float, rate: float, seconds: float
) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "phase": phase.name,
        "loss": round(float(torch.stack(losses).mean()), 5),
        "select_accuracy": round(accuracy, 5),
        "lr": rate,
        "seconds": round(seconds, 2),
    }


def _line(entry: dict[str, Any], epochs: int, best: float) -> str:
    return (
        f"epoch {entry['epoch']:>3}/{epochs} {entry['phase']}  loss {entry['loss']:.4f}  "
        f"accuracy {entry['select_accuracy']:.4f} (best {best:.4f})  {entry['seconds']:.0f} s"
    )


def _cpu_has_bf16() -> bool:
    # Emulated bf16 is slower than float32, so only real instructions count.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
