"""Task-aligned assignment of anchor points to faces (Feng et al. 2021, TOOD, arXiv:2108.07755)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou

from fer_training.tasks.detection.network import STRIDES, AnchorPoints
from fer_training.tasks.detection.recipe import Assignment

_LARGEST = 12.0  # largest face of a point, in strides; the coarsest stride takes all larger faces
_TINY = 1e-9


@dataclass(frozen=True)
class Targets:
    """Training targets of the anchor points of a batch.

    Attributes:
        quality: float32 [N, n], target score: 0 for background, else above 0 and at most 1, larger for points
            whose score and box agree better with their face.
        boxes: float32 [N, n, 4], left, top, right, bottom. Undefined if the quality is 0.
        counted: bool [N, n], False for points whose score does not count in the loss.
    """

    quality: Tensor
    boxes: Tensor
    counted: Tensor


def assign(
    scores: Tensor, boxes: Tensor, points: AnchorPoints, faces: Tensor, ignored: Tensor, config: Assignment
) -> Targets:
    """Assign to each face the points whose score and box agree best with it.

    Args:
        scores: Predicted scores, float32 [N, n], 0 to 1.
        boxes: Predicted boxes, float32 [N, n, 4].
        points: The n anchor points.
        faces: Ground truth, float32 [N, f, 4], padded with rows of zeros.
        ignored: float32 [N, i, 4]. Unassigned points inside these boxes do not count.
        config: Exponents of score and overlap, and maximum points per face.
    """
    real = (faces[..., 2:] > faces[..., :2]).all(dim=2)
    overlap = torch.stack([box_iou(face, box) for face, box in zip(faces, boxes, strict=True)])
    aligned = scores[:, None].pow(config.alpha) * overlap.clamp_min(1e-4).pow(config.beta)
    aligned = aligned * (_candidates(faces, points) & real[..., None])
    top = aligned.topk(min(config.top, aligned.shape[2]), dim=2)
    chosen = torch.zeros_like(aligned).scatter_(2, top.indices, top.values)
    # A point that several faces choose goes to the face it overlaps most.
    best, owner = (chosen * (1 + overlap)).max(dim=1)
    taken = best > 0
    own_points = torch.zeros_like(chosen).scatter_(1, owner[:, None], taken[:, None].to(chosen.dtype))
    metric, own_overlap = chosen * own_points, overlap * own_points
    strongest = metric.amax(dim=2, keepdim=True).clamp_min(_TINY)
    quality = (metric / strongest * own_overlap.amax(dim=2, keepdim=True)).amax(dim=1)
    # A face that no box overlaps yet still needs positive points.
    quality = torch.where(taken, quality.clamp_min(0.05), quality)
    target_boxes = faces.gather(1, owner[..., None].expand(-1, -1, 4))
    counted = taken | ~_within(ignored, points).any(dim=1)
    return Targets(quality, target_boxes, counted)


def _candidates(faces: Tensor, points: AnchorPoints) -> Tensor:
    """Return bool [N, f, n]: True if the point lies in the face's box and its stride suits the face's size."""
    sides = (faces[..., 2:] - faces[..., :2])[:, :, None]
    centres = (faces[..., 2:] + faces[..., :2])[:, :, None] / 2
    # The box of a small face may contain no point, so extend it to 0.75 of the finest stride.
    reach = torch.maximum(sides / 2, torch.full_like(sides, STRIDES[0] * 0.75))
    inside = ((points.centres - centres).abs() <= reach).all(dim=3)
    side, strides = sides.amax(dim=3), points.strides
    large_enough = (side >= strides) | (strides == STRIDES[0])
    small_enough = (side <= strides * _LARGEST) | (strides == STRIDES[-1])
    return inside & large_enough & small_enough


def _within(boxes: Tensor, points: AnchorPoints) -> Tensor:
    """Return bool [N, b, n]: True if the point lies in the box."""
    x, y = points.centres.unbind(dim=1)
    left, top, right, bottom = boxes[..., None].unbind(dim=2)
    return (x >= left) & (x < right) & (y >= top) & (y < bottom)
