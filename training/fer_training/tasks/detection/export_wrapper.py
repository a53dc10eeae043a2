"""Export wrapper of the detector: pixels in, best boxes and scores out.

The graph has no Shape nodes, so that a GPU provider can run all of it. One file accepts every image size.
"""

import copy

import numpy as np
import torch
from fer_service.contract.job import Job
from fer_service.detection.detector import Face
from fer_service.detection.own import ANSWERS, faces_of
from fer_service.detection.resizing import padded, shrunk
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fer_training.tasks.detection.network import STRIDES, DetectorNetwork


class DetectorExportWrapper(nn.Module):
    """Exported graph.

    Input: uint8 [N, H, W, 3], RGB, H and W multiples of 32. Output: boxes float32 [N, 1000, 4] (left, top, width,
    height in pixels) and scores float32 [N, 1000], best first, padded with zeros.
    """

    def __init__(self, network: DetectorNetwork, slope: float = 1.0, shift: float = 0.0) -> None:
        """Wrap a network. Batch norms and the scaling of levels are folded into the convolutions.

        Args:
            network: Trained network.
            slope: Factor of the logits, from the calibration.
            shift: Offset of the logits, from the calibration.
        """
        super().__init__()
        self.network = _fused(network)
        self.slope, self.shift = slope, shift

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the best boxes and their scores."""
        levels = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        scores, decoded = [], []
        for stride, answer in zip(STRIDES, self.network.maps(levels), strict=True):
            scores.append(answer[:, :1].flatten(2))
            decoded.append(_decoded(answer, stride).flatten(2))
        logits, boxes = torch.cat(scores, dim=2), torch.cat(decoded, dim=2)
        # Pad with zeros, so that small images have enough entries for topk.
        probabilities = nn.functional.pad(torch.sigmoid(logits * self.slope + self.shift), (0, ANSWERS))
        best = torch.topk(probabilities.squeeze(1), ANSWERS, dim=1)
        numbers = torch.split(nn.functional.pad(boxes, (0, ANSWERS)), 1, dim=1)
        chosen = [torch.gather(number.squeeze(1), 1, best.indices) for number in numbers]
        return torch.stack(chosen, dim=2), best.values


class TorchDetector:
    """Adapter from a network to the service's `Detector` protocol, for evaluation in training."""

    name = "torch"
    frame_scale = 1.0

    def __init__(self, network: DetectorNetwork, side: int) -> None:
        """Wrap a network. Images are shrunk to a long side of at most `side` pixels."""
        self.side = side
        self._device = next(network.parameters()).device
        self._wrapper = DetectorExportWrapper(network).eval()

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        """Detect the faces of an image (see `Detector.detect`)."""
        small = shrunk(pixels, self.side)
        with torch.inference_mode():
            boxes, scores = self._wrapper(torch.from_numpy(padded(small))[None].to(self._device))
        found = faces_of(boxes[0].cpu().numpy(), scores[0].cpu().numpy(), min_score)
        back = pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0]
        return [face.scaled(*back) for face in found]


def _decoded(answer: Tensor, stride: int) -> Tensor:
    """Decode the boxes [N, 4, h, w] (left, top, width, height) of one stride, as `network.decode_boxes` does."""
    # A cumulative sum of ones makes the grid without Shape nodes.
    ones = answer[:, :1] * 0 + 1
    x = torch.cumsum(ones, dim=3) - 0.5 + answer[:, 1:2]
    y = torch.cumsum(ones, dim=2) - 0.5 + answer[:, 2:3]
    size = answer[:, 3:5].clamp(-4, 5).exp() * stride
    corner = torch.cat([x, y], dim=1) * stride - size / 2
    return torch.cat([corner, size], dim=1)


def _fused(network: DetectorNetwork) -> DetectorNetwork:
    """Return a copy in evaluation mode with folded batch norms, for levels from 0 to 255."""
    fused = copy.deepcopy(network).eval()
    for module in fused.modules():
        if isinstance(module, nn.Sequential) and len(module) == 3 and isinstance(module[1], nn.BatchNorm2d):
            assert isinstance(module[0], nn.Conv2d)  # noqa: S101 (for the type checker)
            module[0], module[1] = fuse_conv_bn_eval(module[0], module[1]), nn.Identity()
    first = next(module for module in fused.stem.modules() if isinstance(module, nn.Conv2d))
    first.weight.data /= 255
    return fused
