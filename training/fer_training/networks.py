"""Networks of our own, under names that timm's factory knows: importing this module registers them."""

from typing import Any

from timm.models import register_model
from torch import Tensor, nn


class DeepFerCnn(nn.Module):
    """Four blocks of two convolutions each, batch-normalised, pooled and dropped out, before a dense layer.

    The custom network of the published DeepFER system in outline; its regularisation is the optimiser's weight
    decay and a dropout that grows with depth. It speaks the part of timm's interface that recipes use.

    Input: float [N, in_chans, S, S] with S ≥ 16. Output: logits float [N, num_classes], or features where that
    is 0.
    """

    def __init__(
        self,
        num_classes: int = 7,
        in_chans: int = 1,
        drop_rate: float = 0.5,
        widths: tuple[int, ...] = (64, 128, 256, 512),
    ) -> None:
        super().__init__()
        self.num_features = widths[-1]
        channels = (in_chans, *widths)
        shares = [drop_rate * (depth + 1) / (2 * len(widths)) for depth in range(len(widths))]
        self.blocks = nn.Sequential(*map(_block, channels, widths, shares))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(drop_rate)
        self.fc = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.fc

    def forward_features(self, levels: Tensor) -> Tensor:
        """Feature maps float [N, widths[-1], S/16, S/16]."""
        maps: Tensor = self.blocks(levels)
        return maps

    def forward_head(self, maps: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits, or with `pre_logits` the pooled features, of feature maps."""
        pooled: Tensor = self.dropout(self.pool(maps).flatten(1))
        return pooled if pre_logits else self.fc(pooled)

    def forward(self, levels: Tensor) -> Tensor:
        """Logits of a batch."""
        return self.forward_head(self.forward_features(levels))


def _block(before: int, width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Dropout2d(dropout),
    )


@register_model
def deepfer_cnn(pretrained: bool = False, **arguments: Any) -> DeepFerCnn:
    """The network under its name in timm's factory, which adds arguments about weights that do not exist."""
    if pretrained:
        raise ValueError("deepfer_cnn has no pretrained weights")
    known = ("num_classes", "in_chans", "drop_rate", "widths")
    return DeepFerCnn(**{name: arguments[name] for name in known if name in arguments})
