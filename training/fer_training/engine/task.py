"""Interface between the engine and a task.

A `Task` is a kind of model, such as emotions or face boxes. Its `Learner` is one training of such a model:
network, batches, loss and validation metric. Everything else (epochs, phases, optimisers, averages, checkpoints,
resuming, logs) is the engine's.
"""

from collections.abc import Iterator, Mapping, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lightning.fabric import Fabric
from rich.console import Console
from torch import Tensor, nn

from fer_training.engine.recipe import Recipe
from fer_training.engine.run_folder import RunFolder

_Batch = TypeVar("_Batch", bound=Sized)


@dataclass(frozen=True)
class TrainArguments:
    """Arguments of `fer-train train`.

    Attributes:
        data: Path of the data.
        limit: Approximate number of images that are used; None uses all.
        resumed: True if the run has a checkpoint, whose weights replace all initial ones.
        options: Options of the task, by their names in `Task.options`.
    """

    data: Path
    limit: int | None = None
    resumed: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


class Learner(Protocol[_Batch]):
    """One training of a model.

    Attributes:
        metric: Name of the validation metric, such as accuracy; higher is better.
        keeps_best: True to keep the weights of the epoch with the best metric in best.ckpt.
        steps: Optimiser steps per epoch and process.
        sizes: Number of training images and of validation images.
        about: Entries of environment.json. `data` has at least `sha256` and `limit`.
    """

    metric: str
    keeps_best: bool
    steps: int
    sizes: tuple[int, int]
    about: Mapping[str, Any]

    def build(self, phase: int) -> nn.Module:
        """Build the network of a phase. It is on the CPU; the engine moves it."""

    def adopt(self, network: nn.Module, before: nn.Module) -> None:
        """Give a network the function of the phase before, in place. Called if `build` made another one."""

    def changes_network(self, phase: int) -> bool:
        """Return True if a phase has another network than the phase before."""

    def begin_phase(self, phase: int, network: nn.Module) -> None:
        """Prepare a phase: freeze layers, choose data."""

    def batches(self, epoch: int) -> Iterator[_Batch]:
        """Yield this process's batches of an epoch; the first is 0. They depend on the seed and the epoch only."""

    def loss(self, model: nn.Module, batch: _Batch) -> Tensor:
        """Return the loss of a batch. `model` is the network as the engine wraps it."""

    def validate(self, network: nn.Module) -> float:
        """Return the metric of a network on the validation data."""


class Evaluation(Protocol):
    """Result of `fer-train evaluate`."""

    def as_json(self) -> str:
        """Return it as JSON."""

    def print_to(self, console: Console) -> None:
        """Print it as tables."""


class Task(Protocol):
    """A kind of model.

    Attributes:
        recipe: Class of its recipes.
        options: Further options that it accepts, by command (train, export, evaluate, report).
        metadata_key: Name of the metadata property that its ONNX files have.
    """

    recipe: type[Recipe]
    options: Mapping[str, frozenset[str]]
    metadata_key: str

    def learner(self, recipe: Any, run: RunFolder, fabric: Fabric, arguments: TrainArguments) -> Learner[Any]:
        """Read the data and prepare a training.

        Args:
            recipe: A recipe of the class `recipe`.
            run: Folder of the run. It may not exist yet.
            fabric: Device, precision and processes. It is launched.
            arguments: Arguments of the command.

        Raises:
            TrainingError: The recipe, the data or an option is invalid.
        """

    def export(self, run: RunFolder, out: Path, options: Mapping[str, Any], console: Console) -> None:
        """Export a run as an ONNX file with a model card, and print its figures."""

    def evaluate(self, model: Path, data: Path, options: Mapping[str, Any]) -> Evaluation:
        """Evaluate an exported file."""

    def report(self, run: RunFolder, options: Mapping[str, Any]) -> Path:
        """Write the report of a run; return the path of the page."""
