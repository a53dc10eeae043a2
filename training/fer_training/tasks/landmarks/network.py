"""Network of the landmarks: separable convolutions (Howard et al. 2017, MobileNet, arXiv:1704.04861)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fer_training.tasks.landmarks.augment import MIRRORED
from fer_training.tasks.landmarks.recipe import SIDE

_QUIET = 4.0  # levels; keeps an image without contrast finite


class LandmarkNetwork(nn.Module):
    """Input: grey levels, float [N, 1, 48, 48]. Output: float [N, 10], x and y of five points in sides, 0 to 1."""

    def __init__(self, widths: Sequence[int]) -> None:
        """Build the network with random weights; `widths` are the channels at strides 2, 4, 8 and 16."""
        super().__init__()
        stem, *stages = widths
        layers: list[nn.Module] = [_convolution(1, stem, 3, stride=2), _separable(stem, stages[0] // 2)]
        before = stages[0] // 2
        for number, width in enumerate(stages):
            layers.append(_separable(before, width, stride=2))
            if number < len(stages) - 1:
                layers.append(_separable(width, width))
            before = width
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.points = nn.Linear(before * (SIDE // 16) ** 2, 10)
        nn.init.constant_(self.points.bias, 0.5)

    def forward(self, levels: Tensor) -> Tensor:
        """Return the points. Brightness and contrast of an image do not matter."""
        centred = levels - levels.mean(dim=(1, 2, 3), keepdim=True)
        contrast = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        points: Tensor = self.points(self.features(centred / (contrast + _QUIET)))
        return points


def _separable(before: int, after: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        *_convolution(before, before, 3, stride=stride, groups=before), *_convolution(before, after, 1)
    )


def _convolution(before: int, after: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class LandmarkExportWrapper(nn.Module):
    """Exported graph: crops uint8 [N, 48, 48, 3], RGB, to float32 [N, 10].

    It averages the points of a crop and of its mirror image, which are more exact by a tenth.
    """

    def __init__(self, network: LandmarkNetwork) -> None:
        """Wrap a network."""
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> Tensor:
        """Return the points of each crop, in its sides."""
        levels = faces.to(torch.float32).mean(dim=3)[:, None]
        straight, mirrored = self.network(torch.cat([levels, levels.flip(3)])).reshape(2, -1, 5, 2).unbind()
        x, y = mirrored[:, MIRRORED].unbind(dim=2)
        points: Tensor = (straight + torch.stack([1 - x, y], dim=2)) / 2
        return points.reshape(-1, 10)
