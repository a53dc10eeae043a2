"""Measure the share of a training step that the network takes.

    python -m fer_benchmarks.training_speed compact-resnet18 --data fer2013.parquet

Real steps alternate, in blocks, with steps of the same network on one constant batch, without data and
augmentation.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fer_training.data import FaceDataset, load_dataset
from fer_training.engine.device import build_fabric
from fer_training.engine.optimizer import build_optimizer, train_mode
from fer_training.engine.run_folder import RunFolder
from fer_training.engine.trainer import Trainer
from fer_training.tasks.emotion.learner import EmotionLearner
from fer_training.tasks.emotion.model import as_levels
from fer_training.tasks.emotion.recipe import EmotionRecipe, load_recipe
from fer_training.tasks.emotion.splits import recipe_classes, train_and_validation
from torch.nn.functional import cross_entropy


@dataclass(frozen=True)
class StepTimes:
    """Median seconds per step.

    Attributes:
        real: Real training step.
        constant: Step on one constant batch.
    """

    real: float
    constant: float


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="Name or file of a recipe without teachers.")
    parser.add_argument("--data", type=Path, required=True, help="Data set, as for `fer-train train`.")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda.")
    parser.add_argument("--blocks", type=int, default=8, help="Blocks of each kind of step.")
    parser.add_argument("--steps", type=int, default=6, help="Steps per block.")
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe)
    if recipe.loss.teachers:
        parser.error(f"{arguments.recipe} needs teachers; choose a recipe without loss.teachers")
    data = recipe_classes(load_dataset(arguments.data, recipe.network.input_size), recipe)
    times = measure_steps(recipe, data, arguments.device, arguments.blocks, arguments.steps)
    rate = recipe.batch_size / times.real
    print(f"{recipe.name}: real step {times.real * 1e3:.1f} ms ({rate:.0f} images/s)")
    print(f"constant batch {times.constant * 1e3:.1f} ms, share {times.constant / times.real:.1%}")


def measure_steps(recipe: EmotionRecipe, data: FaceDataset, device: str, blocks: int, steps: int) -> StepTimes:
    """Time both kinds of step, in the recipe's first phase, after one block of warm-up.

    Args:
        recipe: Recipe without teachers.
        data: Data set with the recipe's classes.
        device: auto, cpu or cuda.
        blocks: Blocks of each kind of step.
        steps: Steps per block.
    """
    fabric = build_fabric(device)
    with tempfile.TemporaryDirectory() as folder:
        learner = EmotionLearner(recipe, *train_and_validation(data, recipe), fabric)
        trainer = Trainer(recipe, learner, RunFolder(Path(folder)), fabric)
    phase = recipe.phases[0]
    learner.begin_phase(0, trainer.network)
    model = fabric.setup_module(trainer.network)
    optimizer: Any = fabric.setup_optimizers(build_optimizer(trainer.network, phase.optimizer))
    train_mode(trainer.network)
    batches = itertools.chain.from_iterable(learner.batches(epoch) for epoch in itertools.count())
    first = next(batches)
    levels = as_levels(first.pixels, recipe.network, phase.input_size).contiguous(
        memory_format=torch.channels_last
    )
    targets = learner.targets[first.rows]

    def real_step() -> None:
        trainer._step(model, optimizer, next(batches))

    def constant_step() -> None:
        output = model(levels)
        # A network with a votes head returns a tuple in training.
        logits = output[0] if isinstance(output, tuple) else output
        fabric.backward(cross_entropy(logits.float(), targets))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    seconds: dict[Callable[[], None], list[float]] = {real_step: [], constant_step: []}
    for block in range(blocks + 1):
        for step, medians in seconds.items():
            median = statistics.median(_seconds_of(step, fabric.device) for _ in range(steps))
            if block:  # the first block is warm-up
                medians.append(median)
    return StepTimes(statistics.median(seconds[real_step]), statistics.median(seconds[constant_step]))


def _seconds_of(step: Callable[[], None], device: torch.device) -> float:
    """Return the duration of a step in seconds, including the work that the device still does after the call."""
    began = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
