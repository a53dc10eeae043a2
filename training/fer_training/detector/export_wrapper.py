"""The graph that is served: pixels in, the best boxes and their scores out; and its answers as faces.

No node of it asks for a shape, so a provider can take all of it, and one file answers for every image size.
"""

import copy

import numpy as np
import torch
from fer_service.contract.job import Job
from fer_service.detection.detector import Face
from fer_service.detection.resizing import padded, shrunk
from fer_service.detection.tiny import ANSWERS, faces_of
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fer_training.detector.network import STRIDES, DetectorNetwork


class DetectorExportWrapper(nn.Module):
    """Input: uint8 [N, H, W, 3], RGB, H and W multiples of 32.

    Output: boxes float32 [N, 1000, 4] (left, top, width, height, pixels) and scores float32 [N, 1000], best first;
    where there are fewer cells the rest is zero.
    """

    def __init__(self, network: DetectorNetwork, slope: float = 1.0, shift: float = 0.0) -> None:
        """Wrap a network, whose batch norms and scaling of levels become part of its convolutions.

        Args:
            network: Trained.
            slope: Of the calibration: what the logits are multiplied by.
            shift: Likewise: what is added then.
        """
        super().__init__()
        self.network = _fused(network)
        self.slope, self.shift = slope, shift

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The best boxes and their scores."""
        levels = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        scores, decoded = [], []
        for stride, answer in zip(STRIDES, self.network.answers(levels), strict=True):
            scores.append(answer[:, :1].flatten(2))
            decoded.append(_decoded(answer, stride).flatten(2))
        logits, boxes = torch.cat(scores, dim=2), torch.cat(decoded, dim=2)
        # As many empty answers behind them as are asked for, so that small images have enough.
        probabilities = nn.functional.pad(torch.sigmoid(logits * self.slope + self.shift), (0, ANSWERS))
        best = torch.topk(probabilities.squeeze(1), ANSWERS, dim=1)
        numbers = torch.split(nn.functional.pad(boxes, (0, ANSWERS)), 1, dim=1)
        chosen = [torch.gather(number.squeeze(1), 1, best.indices) for number in numbers]
        return torch.stack(chosen, dim=2), best.values


class TorchDetector:
    """A network behind the service's `Detector` protocol, to be judged while it is trained."""

    name = "torch"
    frame_scale = 1.0

    def __init__(self, network: DetectorNetwork, side: int) -> None:
        """Wrap a network; images are shrunk to a long side of so many pixels."""
        self.side = side
        self._device = next(network.parameters()).device
        self._served = DetectorExportWrapper(network).eval()

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        """Find the faces of an image (see `Detector.detect`)."""
        small = shrunk(pixels, self.side)
        with torch.inference_mode():
            boxes, scores = self._served(torch.from_numpy(padded(small))[None].to(self._device))
        found = faces_of(boxes[0].cpu().numpy(), scores[0].cpu().numpy(), min_score)
        back = pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0]
        return [face.scaled(*back) for face in found]


def _decoded(answer: Tensor, stride: int) -> Tensor:
    """Boxes [N, 4, h, w] (left, top, width, height) of a stride's map: `network.boxes_of` on a grid."""
    # Counting ones makes the grid without asking how large it is.
    ones = answer[:, :1] * 0 + 1
    x = torch.cumsum(ones, dim=3) - 0.5 + answer[:, 1:2]
    y = torch.cumsum(ones, dim=2) - 0.5 + answer[:, 2:3]
    size = answer[:, 3:5].clamp(-4, 5).exp() * stride
    corner = torch.cat([x, y], dim=1) * stride - size / 2
    return torch.cat([corner, size], dim=1)


def _fused(network: DetectorNetwork) -> DetectorNetwork:
    """A copy in evaluation mode for levels from 0 to 255 with each batch norm folded into its convolution."""
    fused = copy.deepcopy(network).eval()
    for module in fused.modules():
        if isinstance(module, nn.Sequential) and len(module) == 3 and isinstance(module[1], nn.BatchNorm2d):
            assert isinstance(module[0], nn.Conv2d)  # noqa: S101 (for the type checker)
            module[0], module[1] = fuse_conv_bn_eval(module[0], module[1]), nn.Identity()
    first = next(module for module in fused.stem.modules() if isinstance(module, nn.Conv2d))
    first.weight.data /= 255
    return fused
