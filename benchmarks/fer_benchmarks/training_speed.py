"""How much of a training step is the network's own: real steps against steps fed by one constant batch.

    python -m fer_benchmarks.training_speed compact-resnet18 --data fer2013.parquet

Both kinds alternate in blocks, so that a noisy machine slows them alike.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from fer_training.config import load_recipe
from fer_training.data import load_dataset
from fer_training.device import build_fabric
from fer_training.losses import compute_loss
from fer_training.model import as_levels
from fer_training.phases import build_optimizer, set_trainable, train_mode
from fer_training.run import RunFolder
from fer_training.splits import recipe_classes, train_and_validation
from fer_training.trainer import Trainer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6, help="a block")
    arguments = parser.parse_args()

    recipe = load_recipe(arguments.recipe)
    data = recipe_classes(load_dataset(arguments.data, recipe.network.input_size), recipe)
    fabric = build_fabric(arguments.device)
    with tempfile.TemporaryDirectory() as folder:
        training = Trainer(recipe, *train_and_validation(data, recipe), RunFolder(Path(folder)), fabric)
    set_trainable(training.network, recipe.phases[0])
    model = fabric.setup_module(training.network)
    optimizer: Any = fabric.setup_optimizers(build_optimizer(training.network, recipe.phases[0]))
    train_mode(training.network)
    batches = training._batches(0)
    rows, pixels = next(batches)
    levels = as_levels(pixels, recipe.network).contiguous(memory_format=torch.channels_last)
    targets = training.targets[rows]

    def real() -> None:
        rows, pixels = next(batches)
        training._step(recipe.phases[0], model, optimizer, rows, pixels)

    def constant() -> None:
        output = model(levels)
        # In training a second head answers too.
        fabric.backward(compute_loss(output[0] if isinstance(output, tuple) else output, targets))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    seconds: dict[str, list[float]] = {"real": [], "constant": []}
    for block in range(arguments.blocks + 1):
        for name, step in (("real", real), ("constant", constant)):
            times = [timed(step, fabric.device) for _ in range(arguments.steps)]
            if block:  # the first one warms up
                seconds[name].append(statistics.median(times))
    real_time, constant_time = (statistics.median(seconds[name]) for name in ("real", "constant"))
    rate = recipe.batch_size / real_time
    print(f"{recipe.name} on {fabric.device}: real step {real_time * 1e3:.1f} ms ({rate:.0f} images/s)")
    print(f"constant batch {constant_time * 1e3:.1f} ms; share {constant_time / real_time:.1%}")


def timed(step: Callable[[], None], device: torch.device) -> float:
    """Seconds that a step takes, the device's work included."""
    began = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
