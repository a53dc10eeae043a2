"""Which cells answer for which face: task-aligned assignment (Feng et al. 2021, TOOD, arXiv:2108.07755)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou

from fer_training.detector.network import STRIDES, AnchorPoints
from fer_training.detector.recipe import Assignment

_LARGEST = 12.0  # in strides: how large a face a cell may answer for; the coarsest stride takes the larger ones
_TINY = 1e-9


@dataclass(frozen=True)
class Targets:
    """What the cells of a batch should answer.

    Attributes:
        quality: float32 [N, n], 0 where there is no face, else up to 1: how well the cell's box fits already,
            among the cells of its face.
        boxes: float32 [N, n, 4], left, top, right, bottom; meaningless where the quality is 0.
        counted: bool [N, n]: False where a cell's score is not judged.
    """

    quality: Tensor
    boxes: Tensor
    counted: Tensor


def assign(
    scores: Tensor, boxes: Tensor, cells: AnchorPoints, faces: Tensor, ignored: Tensor, config: Assignment
) -> Targets:
    """Choose for each face the cells whose score and box agree best with it.

    Args:
        scores: float32 [N, n], 0 to 1.
        boxes: float32 [N, n, 4].
        cells: The n places.
        faces: float32 [N, f, 4]; rows of zeros are no faces.
        ignored: float32 [N, i, 4]: cells within these, that no face takes, are not judged.
        config: How scores and overlaps are weighed, and how many cells a face takes.
    """
    real = (faces[..., 2:] > faces[..., :2]).all(dim=2)
    overlap = torch.stack([box_iou(face, box) for face, box in zip(faces, boxes, strict=True)])
    aligned = scores[:, None].pow(config.alpha) * overlap.clamp_min(1e-4).pow(config.beta)
    aligned = aligned * (_may_answer(faces, cells) & real[..., None])
    top = aligned.topk(min(config.top, aligned.shape[2]), dim=2)
    chosen = torch.zeros_like(aligned).scatter_(2, top.indices, top.values)
    # A cell that several faces want goes to the one that it fits best.
    best, owner = (chosen * (1 + overlap)).max(dim=1)
    taken = best > 0
    mine = torch.zeros_like(chosen).scatter_(1, owner[:, None], taken[:, None].to(chosen.dtype))
    metric, fit = chosen * mine, overlap * mine
    strongest = metric.amax(dim=2, keepdim=True).clamp_min(_TINY)
    quality = (metric / strongest * fit.amax(dim=2, keepdim=True)).amax(dim=1)
    # A face that no box meets yet still has to draw its cells.
    quality = torch.where(taken, quality.clamp_min(0.05), quality)
    wanted = faces.gather(1, owner[..., None].expand(-1, -1, 4))
    counted = taken | ~_within(ignored, cells).any(dim=1)
    return Targets(quality, wanted, counted)


def _may_answer(faces: Tensor, cells: AnchorPoints) -> Tensor:
    """Where bool [N, f, n] is True the cell lies in the face's box, and its stride suits the face's size."""
    sides = (faces[..., 2:] - faces[..., :2])[:, :, None]
    centres = (faces[..., 2:] + faces[..., :2])[:, :, None] / 2
    # Around a small face a cell of the finest stride is always near enough.
    reach = torch.maximum(sides / 2, torch.full_like(sides, STRIDES[0] * 0.75))
    inside = ((cells.centres - centres).abs() <= reach).all(dim=3)
    side, strides = sides.amax(dim=3), cells.strides
    large_enough = (side >= strides) | (strides == STRIDES[0])
    small_enough = (side <= strides * _LARGEST) | (strides == STRIDES[-1])
    return inside & large_enough & small_enough


def _within(boxes: Tensor, cells: AnchorPoints) -> Tensor:
    """Where bool [N, b, n] is True the cell's centre lies in the box."""
    x, y = cells.centres.unbind(dim=1)
    left, top, right, bottom = boxes[..., None].unbind(dim=2)
    return (x >= left) & (x < right) & (y >= top) & (y < bottom)
