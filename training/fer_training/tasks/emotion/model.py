"""The emotion network of a recipe, and the wrapper that is exported."""

from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import load_state_dict
from torch import Tensor, nn
from torch.nn import functional

import fer_training.tasks.emotion.networks  # noqa: F401 (registers this project's networks with timm)
from fer_training.errors import RecipeError
from fer_training.tasks.emotion.recipe import Head, Network

# Luma weights of ITU-R BT.601, as in OpenCV and Pillow.
_LUMA = (0.299, 0.587, 0.114)


class EmotionNetwork(nn.Module):
    """Normalisation, a timm network, and the recipe's head if it has one.

    Input: float [N, C, S, S], grey or RGB levels 0 to 255. Output: logits float [N, classes].
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        config: Network,
        classes: int,
        *,
        votes_head: bool = False,
        weights: Path | None = None,
        from_scratch: bool = True,
    ) -> None:
        """Build the network.

        Args:
            config: Network section of the recipe.
            classes: Number of classes.
            votes_head: Add a second head that learns the FER+ votes. It is used only in training.
            weights: Checkpoint of the timm network to start from.
            from_scratch: Start from random weights even if the recipe asks for pretrained weights.

        Raises:
            RecipeError: The network is unknown, or its weights cannot be loaded.
        """
        super().__init__()
        self.standardise = config.standardise
        self.register_buffer("mean", _per_channel(config.mean), persistent=False)
        self.register_buffer("std", _per_channel(config.std), persistent=False)
        pretrained = weights is not None or (config.pretrained and not from_scratch)
        self.backbone: Any = _backbone(config, 0 if config.head else classes, pretrained, weights)
        # Some networks widen the pooled features before the classifier.
        features = int(getattr(self.backbone, "head_hidden_size", None) or self.backbone.num_features)
        self.classifier = _dense(config.head, features, classes) if config.head else nn.Identity()
        self.votes = nn.Linear(features, classes) if votes_head else None

    def forward(self, levels: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the logits of a batch. In training with a votes head, return the logits of both heads."""
        normalised = standardise(levels) if self.standardise else (levels / 255 - self.mean) / self.std
        if self.votes is None or not self.training:
            logits: Tensor = self.classifier(self.backbone(normalised))
            return logits
        maps = self.backbone.forward_features(normalised)
        pooled = self.backbone.forward_head(maps, pre_logits=True).flatten(1)
        return self.classifier(self.backbone.forward_head(maps)), self.votes(pooled)

    @property
    def heads(self) -> list[nn.Module]:
        """Last layer of each head. Transfer learning trains these layers first."""
        own = self.classifier if not isinstance(self.classifier, nn.Identity) else self.backbone.get_classifier()
        return [own] if self.votes is None else [own, self.votes]


class ExportWrapper(nn.Module):
    """Exported graph: uint8 RGB crops in, calibrated probabilities out.

    Input: uint8 [N, S, S, 3], RGB. Output: float32 [N, classes], rows sum to 1.
    """

    luma: Tensor

    def __init__(
        self, network: EmotionNetwork, channels: int, temperature: float, *, mirror: bool = False
    ) -> None:
        """Wrap a network.

        Args:
            network: Network in evaluation mode.
            channels: Input channels of the network, 1 or 3.
            temperature: Divisor of the logits.
            mirror: Average the logits of the face and its mirror image. This doubles the computation.
        """
        super().__init__()
        self.network = network
        self.channels = channels
        self.temperature = temperature
        self.mirror = mirror
        self.register_buffer("luma", _luma(), persistent=False)

    def forward(self, faces: Tensor) -> Tensor:
        """Return the probabilities of a batch."""
        return torch.softmax(self.logits(faces) / self.temperature, dim=1)

    def logits(self, faces: Tensor) -> Tensor:
        """Return the logits of a batch, before the temperature."""
        # In channels-last order, pooling would be exported with Shape nodes.
        levels = faces.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        if self.channels == 1:
            levels = (levels * self.luma).sum(dim=1, keepdim=True)
        if not self.mirror:
            logits: Tensor = self.network(levels)
            return logits
        # One pass for both: the graph holds the network once, and larger batches are more efficient.
        both: Tensor = self.network(torch.cat([levels, levels.flip(3)]))
        return both.reshape(2, -1, both.shape[1]).mean(dim=0)


def standardise(levels: Tensor) -> Tensor:
    """Normalise each image to mean 0 and standard deviation 1. An image of one level becomes 0.

    Args:
        levels: float [N, C, H, W], 0 to 255.
    """
    centred = levels - levels.mean(dim=(1, 2, 3), keepdim=True)
    variance = centred.square().mean(dim=(1, 2, 3), keepdim=True)
    # A variance below one level is not contrast. `clamp_min`, not an added epsilon: INT8 would quantise the sum.
    return centred * variance.clamp_min(1.0).rsqrt()


def as_levels(pixels: Tensor, config: Network, side: int | None = None) -> Tensor:
    """Convert images of a data set to network input.

    Args:
        pixels: uint8 [N, C, H, W], C = 1 or 3.
        config: Network section: channels and input size.
        side: Input size in pixels that replaces `config.input_size`.

    Returns:
        float32 [N, channels, S, S], levels 0 to 255. The grey conversion is the one of `ExportWrapper`. Resizing
        is bilinear with anti-aliasing.
    """
    levels = pixels.float()
    if pixels.shape[1] == 3 and config.channels == 1:
        levels = (levels * _luma().to(levels.device)).sum(dim=1, keepdim=True)
    elif pixels.shape[1] == 1 and config.channels == 3:
        levels = levels.expand(-1, 3, -1, -1)
    size = (side or config.input_size,) * 2
    if levels.shape[2:] != size:
        levels = functional.interpolate(levels, size, mode="bilinear", align_corners=False, antialias=True)
    return levels


def _luma() -> Tensor:
    return torch.tensor(_LUMA).view(1, 3, 1, 1)


def _per_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)


def _dense(head: Head, features: int, classes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in head.widths:
        layers.append(nn.Linear(features, width))
        if head.batch_norm:
            layers.append(nn.BatchNorm1d(width))
        layers += [nn.ReLU(inplace=True), nn.Dropout(head.dropout)]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, classes))


def _backbone(config: Network, classes: int, pretrained: bool, weights: Path | None) -> Any:
    overlay: dict[str, Any] = {"pretrained_cfg_overlay": {"file": str(weights)}} if weights else {}
    if weights is not None and not weights.is_file():
        raise RecipeError(f"--pretrained {weights}: file not found")
    if config.name not in timm.list_models():
        raise RecipeError(f"unknown network {config.name}: give a name of timm.list_models()")
    try:
        backbone = timm.create_model(
            config.name,
            pretrained=pretrained,
            num_classes=classes,
            in_chans=config.channels,
            drop_rate=config.dropout,
            **overlay,
            **config.arguments,
        )
    except Exception as error:  # timm, torch and the hub client have no common base class
        reason = " ".join(str(error).split())[:300]
        if weights is not None:
            raise RecipeError(f"--pretrained {weights} does not fit {config.name}: {reason}") from error
        if pretrained:
            raise RecipeError(
                f"cannot load the pretrained weights of {config.name}: {reason}. "
                "Give a checkpoint with --pretrained FILE, or use random weights with --from-scratch"
            ) from error
        raise RecipeError(f"network {config.name}: {reason}") from error
    if weights is not None:
        _check_weights(backbone, config, weights)
    if config.stem is not None:
        _replace_stem(backbone, config)
    return backbone


def _check_weights(backbone: Any, config: Network, weights: Path) -> None:
    """Refuse a checkpoint with missing entries. timm ignores them and leaves random weights."""
    classifier = f"{backbone.default_cfg.get('classifier', 'fc')}."
    expected = {
        name
        for name in backbone.state_dict()
        if not name.startswith(classifier) and not name.endswith("num_batches_tracked")
    }
    missing = sorted(expected - load_state_dict(str(weights)).keys())
    if missing:
        raise RecipeError(
            f"--pretrained {weights} does not fit {config.name}: {len(missing)} of {len(expected)} entries are "
            f"missing, for example {missing[0]}"
        )


def _replace_stem(backbone: Any, config: Network) -> None:
    stem, first = config.stem, getattr(backbone, "conv1", None)
    if stem is None or not isinstance(first, nn.Conv2d):
        raise RecipeError(f"network {config.name} has no convolution named conv1: remove network.stem")
    backbone.conv1 = nn.Conv2d(
        config.channels, first.out_channels, stem.kernel, stem.stride, stem.kernel // 2, bias=False
    )
    nn.init.kaiming_normal_(backbone.conv1.weight, mode="fan_out", nonlinearity="relu")
    if not stem.max_pool:
        backbone.maxpool = nn.Identity()
