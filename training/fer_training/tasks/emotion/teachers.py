"""Teacher networks for knowledge distillation (Hinton et al. 2015, arXiv:1503.02531)."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from fer_service.classification.classifier import open_classifier
from fer_service.system.cores import available_cores
from fer_service.system.files import file_sha256
from torch import Tensor, nn
from torch.nn import functional

from fer_training.engine.run_folder import RunFolder
from fer_training.errors import RunError
from fer_training.tasks.emotion.model import EmotionNetwork
from fer_training.tasks.emotion.predictions import best_network
from fer_training.tasks.emotion.recipe import EmotionRecipe, Network


def teacher_weights(teacher: Path) -> Path:
    """Return the file with the weights of a teacher: an exported file itself, or the best checkpoint of a run.

    Raises:
        RunError: The path is neither.
    """
    weights = teacher if teacher.is_file() else RunFolder(teacher).best
    if not weights.is_file():
        raise RunError(f"--teacher {teacher}: not an exported file, and not a run folder with {weights.name}")
    return weights


def weights_sha256(teacher: Path) -> str:
    """Return the SHA-256 of a teacher's weights. The metadata of an exported file do not count.

    Raises:
        RunError: See `teacher_weights`.
    """
    weights = teacher_weights(teacher)
    if weights is not teacher:
        return file_sha256(weights)
    graph: bytes = onnx.load(weights).graph.SerializeToString(deterministic=True)
    return hashlib.sha256(graph).hexdigest()


class RunTeacher(nn.Module):
    """Best weights of a run, on the device of the student."""

    def __init__(self, path: Path, channels: int) -> None:
        """Load the weights.

        Args:
            path: Run folder.
            channels: Input channels of the student.

        Raises:
            RunError: The run has no weights, or other input channels.
        """
        super().__init__()
        run = RunFolder(path)
        recipe = run.recipe(EmotionRecipe)
        if recipe.network.channels != channels:
            raise RunError(
                f"--teacher {path} has {recipe.network.channels} input channel(s); the student has {channels}"
            )
        self.classes: tuple[str, ...] = tuple(run.environment()["data"]["classes"])
        self.side = recipe.network.input_size
        self.network: EmotionNetwork = best_network(run, recipe, len(self.classes))

    def forward(self, levels: Tensor) -> Tensor:
        """Return probabilities float32 [N, classes] for levels float [N, C, side, side]."""
        logits: Tensor = self.network(levels.contiguous(memory_format=torch.channels_last))
        return logits.float().softmax(dim=1)


class ExportedTeacher(nn.Module):
    """An exported file, run by onnxruntime on the CPU. In INT8 it costs less than half of its run in torch."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            BundleError: The file is not a bundle.
        """
        super().__init__()
        self._classifier = open_classifier(path, "cpu", available_cores())
        metadata = self._classifier.bundle.metadata
        self.classes, self.side = metadata.labels, metadata.input_size

    def forward(self, levels: Tensor) -> Tensor:
        """Return calibrated probabilities float32 [N, classes] for levels float [N, C, side, side]."""
        pixels = levels.round().clamp(0, 255).byte().cpu().expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
        return torch.from_numpy(self._classifier.classify(list(np.ascontiguousarray(pixels)))).to(levels.device)


class Teachers(nn.Module):
    """Ensemble of finished runs and exported files.

    The teachers see the same augmented and mixed images as the student (Beyer et al. 2022, arXiv:2106.05237).
    """

    def __init__(self, teachers: Sequence[Path], student: Network, classes: tuple[str, ...]) -> None:
        """Load the teachers.

        Args:
            teachers: One or more run folders or exported files.
            student: Network section of the student's recipe.
            classes: Class names of the student, in output order.

        Raises:
            BundleError: A file is not a bundle.
            RunError: A run has no weights, or a teacher's classes or channels differ from the student's.
        """
        super().__init__()
        networks = [
            ExportedTeacher(path) if path.is_file() else RunTeacher(path, student.channels) for path in teachers
        ]
        for path, network in zip(teachers, networks, strict=True):
            if network.classes != classes:
                raise RunError(
                    f"--teacher {path} has the classes {', '.join(network.classes)}; "
                    f"the student has {', '.join(classes)}"
                )
        self._sides = [network.side for network in networks]
        self.networks = nn.ModuleList(networks).requires_grad_(False).to(memory_format=torch.channels_last)

    @torch.no_grad()
    def forward(self, levels: Tensor) -> Tensor:
        """Return mean probabilities float32 [N, classes] for levels float [N, C, S, S].

        The levels are resized to each teacher's input size.
        """
        probabilities = []
        for network, side in zip(self.networks, self._sides, strict=True):
            resized = levels
            if levels.shape[2] != side:
                resized = functional.interpolate(levels, (side, side), mode="bilinear", antialias=True)
            probabilities.append(network(resized))
        return torch.stack(probabilities).mean(dim=0)
