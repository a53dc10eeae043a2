"""Network of the detector: anchor-free, three strides, separable convolutions.

The backbone and the decoupled heads follow YuNet (Wu et al. 2023, MIR 20) and YOLOX (Ge et al. 2021,
arXiv:2107.08430). The blocks follow MobileNet (Howard et al. 2017, arXiv:1704.04861), with a residual if input and
output shapes agree. The neck is a feature pyramid (Lin et al. 2017, arXiv:1612.03144).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_training.tasks.detection.recipe import Widths

STRIDES = (8, 16, 32)
_PRIOR = 0.01  # initial score of every point (Lin et al. 2017, arXiv:1708.02002)


@dataclass(frozen=True)
class AnchorPoints:
    """Anchor points of an input, stride by stride and row by row.

    Attributes:
        centres: float32 [n, 2], x and y in pixels.
        strides: float32 [n], in pixels.
    """

    centres: Tensor
    strides: Tensor


class DetectorNetwork(nn.Module):
    """Input: float [N, 3, H, W], RGB levels 0 to 255; H and W multiples of 32. Output: see `forward`."""

    def __init__(self, widths: Widths) -> None:
        """Build the network with random weights."""
        super().__init__()
        self.stem = nn.Sequential(
            convolution(3, widths.stem, 3, stride=2), Separable(widths.stem, widths.quarter, stride=2)
        )
        before, stages = widths.quarter, []
        for width, blocks, reach in zip(widths.stages, widths.blocks, (3, 3, 5), strict=True):
            layers: list[nn.Module] = [Separable(before, width, stride=2)]
            layers += [Separable(width, width, kernel=reach) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(*layers))
            before = width
        self.stages = nn.ModuleList(stages)
        self.laterals = nn.ModuleList(convolution(width, widths.neck, 1) for width in widths.stages)
        self.smooth = nn.ModuleList(Separable(widths.neck, widths.neck) for _ in STRIDES)
        self.score_heads = nn.ModuleList(_head(widths.neck, 1) for _ in STRIDES)
        self.box_heads = nn.ModuleList(_head(widths.neck, 4) for _ in STRIDES)
        for scores, boxes in zip(self.score_heads, self.box_heads, strict=True):
            nn.init.constant_(scores[-1].bias, math.log(_PRIOR / (1 - _PRIOR)))  # type: ignore[index]
            nn.init.constant_(boxes[-1].bias[2:], 1.0)  # type: ignore[index]

    def forward(self, levels: Tensor) -> list[Tensor]:
        """Return one map float [N, 5, H/s, W/s] per stride s: logit of the score, and a box for `decode_boxes`."""
        return self.maps(levels / 255)

    def maps(self, levels: Tensor) -> list[Tensor]:
        """Return the maps of `forward` for levels from 0 to 1."""
        maps, x = [], self.stem(levels)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        maps = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        for fine in (1, 0):
            maps[fine] = maps[fine] + functional.interpolate(maps[fine + 1], scale_factor=2.0, mode="nearest")
        outputs = []
        for number, smooth in enumerate(self.smooth):
            x = smooth(maps[number])
            outputs.append(torch.cat([self.score_heads[number](x), self.box_heads[number](x)], dim=1))
        return outputs


class Separable(nn.Module):
    """Depthwise and pointwise convolution, with a residual if the shapes agree."""

    def __init__(self, before: int, after: int, *, kernel: int = 3, stride: int = 1) -> None:
        """Build the block with `before` input channels and `after` output channels."""
        super().__init__()
        self.depthwise = convolution(before, before, kernel, stride=stride, groups=before)
        self.pointwise = convolution(before, after, 1)
        self.residual = before == after and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Map float [N, before, H, W] to float [N, after, H / stride, W / stride]."""
        changed: Tensor = self.pointwise(self.depthwise(x))
        return x + changed if self.residual else changed


def convolution(before: int, after: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Build a convolution with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def flatten_maps(maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Flatten the network's maps to one row per anchor point.

    Args:
        maps: Output of the network.

    Returns:
        Logits float32 [N, n] and encoded boxes float32 [N, n, 4].
    """
    flat = torch.cat([part.flatten(2) for part in maps], dim=2).float()
    return flat[:, 0], flat[:, 1:].transpose(1, 2)


def decode_boxes(numbers: Tensor, points: AnchorPoints) -> Tensor:
    """Decode boxes.

    Args:
        numbers: Encoded boxes, float32 [N, n, 4]: offset of the centre from the point, then log of width and
            height, all in strides.
        points: The n anchor points.

    Returns:
        float32 [N, n, 4]: left, top, right, bottom in pixels.
    """
    strides = points.strides[:, None]
    centres = points.centres + numbers[..., :2] * strides
    half = numbers[..., 2:].clamp(-4, 5).exp() * strides / 2
    return torch.cat([centres - half, centres + half], dim=-1)


@lru_cache(maxsize=32)
def anchor_points(height: int, width: int, device: torch.device) -> AnchorPoints:
    """Return the anchor points of an input of this size in pixels."""
    centres, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(
            torch.arange(height // stride, device=device),
            torch.arange(width // stride, device=device),
            indexing="ij",
        )
        centres.append((torch.stack([x, y], dim=2).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((len(centres[-1]),), float(stride), device=device))
    return AnchorPoints(torch.cat(centres), torch.cat(strides))


def _head(width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(Separable(width, width), nn.Conv2d(width, outputs, 1))
