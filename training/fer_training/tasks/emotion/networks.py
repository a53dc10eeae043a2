"""Networks of this project. Importing this module registers them with timm."""

from typing import Any

from timm.models import register_model
from torch import Tensor, nn


class DeepFerCnn(nn.Module):
    """Four blocks of two convolutions with batch norm, pooling and dropout, then a dense layer.

    An approximation of the custom CNN of the published DeepFER system. Dropout grows with depth. The class
    implements the part of timm's interface that recipes use.

    Input: float [N, in_chans, S, S] with S ≥ 16. Output: logits float [N, num_classes], or pooled features if
    `num_classes` is 0.
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
        """Return the last layer."""
        return self.fc

    def forward_features(self, levels: Tensor) -> Tensor:
        """Return feature maps, float [N, widths[-1], S/16, S/16]."""
        maps: Tensor = self.blocks(levels)
        return maps

    def forward_head(self, maps: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the logits of feature maps, or the pooled features if `pre_logits` is set."""
        pooled: Tensor = self.dropout(self.pool(maps).flatten(1))
        return pooled if pre_logits else self.fc(pooled)

    def forward(self, levels: Tensor) -> Tensor:
        """Return the logits of a batch."""
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
    """Build the network for timm's factory. Further arguments of the factory are ignored."""
    if pretrained:
        raise ValueError("deepfer_cnn has no pretrained weights")
    known = ("num_classes", "in_chans", "drop_rate", "widths")
    return DeepFerCnn(**{name: arguments[name] for name in known if name in arguments})
