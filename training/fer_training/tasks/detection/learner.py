"""A detector training: generated images for training, held-out photographs for validation."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from fer_training.errors import RunError
from fer_training.tasks.detection.assets import SceneAssets
from fer_training.tasks.detection.batches import Batch, batches, steps_per_epoch
from fer_training.tasks.detection.export_wrapper import TorchDetector
from fer_training.tasks.detection.exported_weights import start_from
from fer_training.tasks.detection.loss import detection_loss
from fer_training.tasks.detection.network import DetectorNetwork, anchor_points
from fer_training.tasks.detection.photographs import EVAL_SIDE
from fer_training.tasks.detection.recipe import DetectionRecipe
from fer_training.tasks.detection.scoring import evaluate
from fer_training.tasks.detection.widening import widen


class DetectionLearner:
    """A `Learner` of face boxes. Phases can widen the network."""

    metric = "ap50"
    # The last epoch is exported: selecting an epoch on the evaluation photographs would bias the figures.
    keeps_best = False

    def __init__(
        self,
        recipe: DetectionRecipe,
        assets: SceneAssets,
        fabric: Fabric,
        about: Mapping[str, Any] | None = None,
        init: Path | None = None,
    ) -> None:
        """Prepare.

        Args:
            recipe: Recipe of the run.
            assets: Training data and held-out photographs.
            fabric: Device and precision.
            about: Entries of environment.json.
            init: Exported file to start from; None starts from random weights.

        Raises:
            RunError: `torchrun` started several processes.
        """
        if fabric.world_size > 1:
            raise RunError("detector training runs in one process only: start it without torchrun")
        self.recipe = recipe
        self.about: Mapping[str, Any] = about or {}
        self.steps = steps_per_epoch(recipe)
        self.sizes = len(assets.train), len(assets.held_out)
        self._assets, self._fabric, self._init = assets, fabric, init
        self._held_out = [photo.shrunk(EVAL_SIDE) for photo in assets.held_out]
        self._scenes = assets.scene_generator(recipe.scene_config(recipe.phases[0]))

    def build(self, phase: int) -> DetectorNetwork:
        """Build the network of a phase.

        Raises:
            DetectorError: The file to start from is not a detector of this project.
            RecipeError: It does not fit the network.
        """
        network = DetectorNetwork(self.recipe.widths_of(phase))
        if self._init and not phase:
            start_from(network, self._init, next(self.batches(0)).pixels)
        return network

    def changes_network(self, phase: int) -> bool:
        """Return True if the phase widens the network."""
        return self.recipe.widths_of(phase) != self.recipe.widths_of(phase - 1)

    def adopt(self, network: nn.Module, before: nn.Module) -> None:
        """Give a wider network the function of the narrower one."""
        assert isinstance(network, DetectorNetwork)  # noqa: S101 (for the type checker)
        assert isinstance(before, DetectorNetwork)  # noqa: S101
        widen(network, before)

    def begin_phase(self, phase: int, network: nn.Module) -> None:
        """Take the scenes of a phase."""
        self._scenes = self._assets.scene_generator(self.recipe.scene_config(self.recipe.phases[phase]))

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        return batches(self._scenes, self.recipe, epoch)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the detection loss of a batch."""
        batch = batch.to(self._fabric.device)
        levels = batch.pixels.permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        points = anchor_points(levels.shape[2], levels.shape[3], levels.device)
        return detection_loss(model(levels), points, batch.faces, batch.ignored, self.recipe)

    def validate(self, network: nn.Module) -> float:
        """Return the AP50 on the held-out photographs."""
        assert isinstance(network, DetectorNetwork)  # noqa: S101 (for the type checker)
        result = evaluate(TorchDetector(network, EVAL_SIDE), self._held_out)
        return result.average_precision(*result.kinds()["all"])
