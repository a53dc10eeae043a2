"""A split's images on the device, and inference on a split."""

import copy
from collections.abc import Iterator

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor

from fer_training.data import FaceDataset
from fer_training.data.images import FileImages, prefetch
from fer_training.tasks.emotion.model import EmotionNetwork, as_levels
from fer_training.tasks.emotion.recipe import EmotionRecipe

_EVALUATION_BATCH = 256


class Split:
    """Images of a split: in device memory if they fit, else read from files while the device computes."""

    def __init__(self, data: FaceDataset, device: torch.device) -> None:
        self.data = data
        self._device = device
        self.labels = torch.from_numpy(data.labels)
        self._resident = None
        if not isinstance(data.images, FileImages):
            self._resident = torch.from_numpy(data.images).permute(0, 3, 1, 2).contiguous().to(device)

    def __len__(self) -> int:
        return len(self.data)

    def with_images(self, pixels: Tensor) -> "Split":
        """Return the split with other images in memory, uint8 [N, C, H, W]."""
        other = copy.copy(self)
        other._resident = pixels.to(self._device)
        return other

    def batches(self, rows: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield for each batch the row indices and the images uint8 [B, C, H, W], both on the device."""
        if self._resident is None:
            read = ((index, self.data.pixels(index.numpy().astype(np.int64))) for index in rows)
            for index, pixels in prefetch(read):
                yield index.to(self._device), torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self._device)
        else:
            for index in rows:
                moved = index.to(self._device)
                yield moved, self._resident[moved]


def predict_logits(network: EmotionNetwork, split: Split, recipe: EmotionRecipe, fabric: Fabric) -> Tensor:
    """Return the logits of a split in evaluation mode, float32 [N, classes], on the CPU."""
    network.eval()
    rows = torch.split(torch.arange(len(split)), _EVALUATION_BATCH)
    with torch.inference_mode(), fabric.autocast():
        parts = [
            network(as_levels(pixels, recipe.network).contiguous(memory_format=torch.channels_last)).float().cpu()
            for _, pixels in split.batches(rows)
        ]
    return torch.cat(parts)


def compute_accuracy(network: EmotionNetwork, split: Split, recipe: EmotionRecipe, fabric: Fabric) -> float:
    """Return the top-1 accuracy on a split, 0 to 1."""
    return float((predict_logits(network, split, recipe, fabric).argmax(dim=1) == split.labels).float().mean())
