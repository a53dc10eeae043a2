"""Teacher networks for knowledge distillation (Hinton et al. 2015, arXiv:1503.02531)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_training.config import Network
from fer_training.errors import RunError
from fer_training.model import EmotionNetwork
from fer_training.predictions import best_network
from fer_training.run import RunFolder


class Teachers(nn.Module):
    """Ensemble of finished runs.

    The teachers see the same augmented and mixed images as the student (Beyer et al. 2022, arXiv:2106.05237).
    """

    def __init__(self, runs: Sequence[RunFolder], student: Network, classes: tuple[str, ...]) -> None:
        """Load the runs' best weights.

        Args:
            runs: One or more finished runs.
            student: Network section of the student's recipe.
            classes: Class names of the student, in output order.

        Raises:
            RunError: A run has no weights, or its classes or channels differ from the student's.
        """
        super().__init__()
        self.sides = []
        networks: list[EmotionNetwork] = []
        for run in runs:
            recipe = run.recipe()
            teacher_classes = tuple(run.environment()["data"]["classes"])
            if teacher_classes != classes:
                raise RunError(
                    f"--teacher {run.path} has the classes {', '.join(teacher_classes)}; "
                    f"the student has {', '.join(classes)}"
                )
            if recipe.network.channels != student.channels:
                raise RunError(
                    f"--teacher {run.path} has {recipe.network.channels} input channel(s); "
                    f"the student has {student.channels}"
                )
            self.sides.append(recipe.network.input_size)
            networks.append(best_network(run, recipe, len(classes)))
        self.networks = nn.ModuleList(networks).requires_grad_(False).to(memory_format=torch.channels_last)

    @torch.no_grad()
    def forward(self, levels: Tensor) -> Tensor:
        """Return mean probabilities float32 [N, classes] for levels float [N, C, S, S].

        The levels are resized to each teacher's input size.
        """
        probabilities = []
        for network, side in zip(self.networks, self.sides, strict=True):
            resized = levels
            if levels.shape[2] != side:
                resized = functional.interpolate(levels, (side, side), mode="bilinear", antialias=True)
            probabilities.append(
                network(resized.contiguous(memory_format=torch.channels_last)).float().softmax(dim=1)
            )
        return torch.stack(probabilities).mean(dim=0)
