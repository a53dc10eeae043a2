"""The network a recipe describes, and the graph that is served."""

import timm
import torch
from torch import Tensor, nn

from training.config import Network
from training.errors import RecipeError

# ITU-R BT.601, the weights with which OpenCV and Pillow make grey from RGB.
_LUMA = (0.299, 0.587, 0.114)


class EmotionNetwork(nn.Module):
    """A timm network behind its own normalisation.

    Input: float [N, C, S, S], grey or RGB levels 0 to 255. Output: logits float [N, classes].
    """

    mean: Tensor
    std: Tensor
    backbone: nn.Module

    def __init__(self, config: Network, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", _per_channel(config.mean), persistent=False)
        self.register_buffer("std", _per_channel(config.std), persistent=False)
        self.backbone = _backbone(config, classes)

    def forward(self, levels: Tensor) -> Tensor:
        """Logits of a batch."""
        logits: Tensor = self.backbone((levels / 255 - self.mean) / self.std)
        return logits

    @property
    def head(self) -> nn.Module:
        """The last, classifying layer."""
        head: nn.Module = self.backbone.get_classifier()  # type: ignore[operator]
        return head


class ServedNetwork(nn.Module):
    """What the exported file holds: uint8 RGB crops in, calibrated probabilities out.

    Input: uint8 [N, S, S, 3], RGB. Output: float32 [N, classes], rows sum to 1.
    """

    luma: Tensor

    def __init__(self, network: EmotionNetwork, channels: int, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.temperature = temperature
        self.register_buffer("luma", torch.tensor(_LUMA).view(1, 3, 1, 1), persistent=False)

    def forward(self, faces: Tensor) -> Tensor:
        """Probabilities of a batch."""
        return torch.softmax(self.logits(faces) / self.temperature, dim=1)

    def logits(self, faces: Tensor) -> Tensor:
        """Logits of a batch, before the temperature."""
        # Left in channels-last order, pooling would export with nodes that compute with shapes.
        levels = faces.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        if self.channels == 1:
            levels = (levels * self.luma).sum(dim=1, keepdim=True)
        logits: Tensor = self.network(levels)
        return logits


def _per_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)


def _backbone(config: Network, classes: int) -> nn.Module:
    try:
        backbone: nn.Module = timm.create_model(
            config.name,
            num_classes=classes,
            in_chans=config.channels,
            drop_rate=config.dropout,
            **config.arguments,
        )
    except (RuntimeError, TypeError, ValueError) as error:
        raise RecipeError(f"network {config.name}: {error}") from error
    if config.stem is not None:
        stem, first = config.stem, getattr(backbone, "conv1", None)
        if not isinstance(first, nn.Conv2d):
            raise RecipeError(f"network {config.name} has no plain first convolution that a stem could replace")
        backbone.conv1 = nn.Conv2d(
            config.channels, first.out_channels, stem.kernel, stem.stride, stem.kernel // 2, bias=False
        )
        nn.init.kaiming_normal_(backbone.conv1.weight, mode="fan_out", nonlinearity="relu")
        if not stem.max_pool:
            backbone.maxpool = nn.Identity()
    return backbone
