"""The task `valence`: a small network, the mean squared error, and the correlation as the metric."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from fer_service.onnx.session import Session
from fer_training.engine.checkpoint import load_checkpoint, restore
from fer_training.engine.onnx_export import trace, write_model
from fer_training.engine.recipe import Recipe
from fer_training.engine.run_folder import RunFolder
from fer_training.engine.task import TrainArguments
from lightning.fabric import Fabric
from rich.console import Console
from torch import Tensor, nn


class ValenceRecipe(Recipe):
    """Settings of a training."""

    task: Literal["valence"]
    width: int = 8
    batch_size: int = 16


def network(width: int) -> nn.Module:
    """float [N, 1, S, S], 0 to 1, in; float [N, 1] out."""
    layers = nn.Conv2d(1, width, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(width, 1))


class ValenceLearner:
    """Data: an .npz file with `images` float32 [N, 1, S, S] and `valence` float32 [N]; a quarter is held out."""

    metric, keeps_best = "correlation", True

    def __init__(self, recipe: ValenceRecipe, fabric: Fabric, arguments: TrainArguments) -> None:
        with np.load(arguments.data) as content:
            self.images, self.valence = (torch.from_numpy(content[name]) for name in ("images", "valence"))
        self.recipe, self.held_out, self.fabric = recipe, len(self.images) // 4, fabric
        self.steps = (len(self.images) - self.held_out) // recipe.batch_size
        self.sizes = len(self.images) - self.held_out, self.held_out
        self.about: Mapping[str, Any] = {"data": {"sha256": str(arguments.data), "limit": arguments.limit}}

    def build(self, phase: int) -> nn.Module:
        return network(self.recipe.width)

    def changes_network(self, phase: int) -> bool:
        return False

    def adopt(self, network: nn.Module, before: nn.Module) -> None: ...

    def begin_phase(self, phase: int, network: nn.Module) -> None: ...

    def batches(self, epoch: int) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(self.recipe.seed * 1000 + epoch)
        order = torch.randperm(len(self.images) - self.held_out, generator=generator) + self.held_out
        yield from torch.split(order, self.recipe.batch_size)[: self.steps]

    def loss(self, model: nn.Module, batch: Tensor) -> Tensor:
        return nn.functional.mse_loss(model(self.images[batch])[:, 0], self.valence[batch])

    def validate(self, network: nn.Module) -> float:
        with torch.inference_mode():
            found = network.eval()(self.images[: self.held_out])[:, 0]
        return float(torch.corrcoef(torch.stack([found, self.valence[: self.held_out]]))[0, 1])


@dataclass(frozen=True)
class ValenceEvaluation:
    error: float

    def as_json(self) -> str:
        return json.dumps({"error": self.error})

    def print_to(self, console: Console) -> None:
        console.print(f"mean squared error {self.error:.4f}")


class ValenceTask:
    recipe: type[Recipe] = ValenceRecipe
    options: Mapping[str, frozenset[str]] = {
        name: frozenset() for name in ("train", "export", "evaluate", "report")
    }
    metadata_key = "valence"

    def learner(
        self, recipe: ValenceRecipe, run: RunFolder, fabric: Fabric, arguments: TrainArguments
    ) -> ValenceLearner:
        return ValenceLearner(recipe, fabric, arguments)

    def export(self, run: RunFolder, out: Path, options: Mapping[str, Any], console: Console) -> None:
        trained = network(run.recipe(ValenceRecipe).width).eval()
        restore(run.best, load_checkpoint(run.best), {"network": trained})
        batch = {0: torch.export.Dim("N", min=1)}
        trace(trained, torch.zeros(2, 1, 16, 16), batch, out, input_name="faces", output_names=["valence"])
        write_model(out, {"valence": "1"}, out)
        console.print(out.name)

    def evaluate(self, model: Path, data: Path, options: Mapping[str, Any]) -> ValenceEvaluation:
        with np.load(data) as content:
            (found,) = Session.open(model, device="cpu", threads=1).run(["valence"], {"faces": content["images"]})
            return ValenceEvaluation(float(np.square(found[:, 0] - content["valence"]).mean()))

    def report(self, run: RunFolder, options: Mapping[str, Any]) -> Path:
        return run.path / "metrics.jsonl"


TASK = ValenceTask()
