"""Networks that a training learns from (Hinton et al. 2015, arXiv:1503.02531)."""

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
    """Finished runs, asked together for every image that the learner sees, changed and mixed as it sees it.

    Beyer et al. 2022 (arXiv:2106.05237) found that to matter: the answers are to be about the very same image.
    """

    def __init__(self, runs: Sequence[RunFolder], learner: Network, classes: tuple[str, ...]) -> None:
        """Load the runs' best weights.

        Args:
            runs: At least one.
            learner: The network that is to learn.
            classes: In the order of its answers.

        Raises:
            RunError: a run has no weights yet, or other classes or channels than the learner.
        """
        super().__init__()
        self.sides = []
        networks: list[EmotionNetwork] = []
        for run in runs:
            recipe, theirs = run.recipe(), tuple(run.environment()["data"]["classes"])
            if theirs != classes:
                raise RunError(f"--teacher {run.path} knows {', '.join(theirs)}; learnt are {', '.join(classes)}")
            if recipe.network.channels != learner.channels:
                raise RunError(
                    f"--teacher {run.path} sees {recipe.network.channels} channel(s), not {learner.channels}"
                )
            self.sides.append(recipe.network.input_size)
            networks.append(best_network(run, recipe, len(classes)))
        self.networks = nn.ModuleList(networks).requires_grad_(False).to(memory_format=torch.channels_last)

    @torch.no_grad()
    def forward(self, levels: Tensor) -> Tensor:
        """Mean probabilities float32 [N, classes] for levels float [N, C, S, S]; each sees its own size."""
        answers = []
        for network, side in zip(self.networks, self.sides, strict=True):
            own = levels
            if levels.shape[2] != side:
                own = functional.interpolate(levels, (side, side), mode="bilinear", antialias=True)
            answers.append(network(own.contiguous(memory_format=torch.channels_last)).float().softmax(dim=1))
        return torch.stack(answers).mean(dim=0)
