"""Loss function of the detector."""

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import complete_box_iou_loss

from fer_training.tasks.detection.assign import assign
from fer_training.tasks.detection.network import AnchorPoints, decode_boxes, flatten_maps
from fer_training.tasks.detection.recipe import DetectionRecipe


def detection_loss(
    maps: list[Tensor], points: AnchorPoints, faces: Tensor, ignored: Tensor, recipe: DetectionRecipe
) -> Tensor:
    """Return the loss of scores and boxes of a batch.

    Args:
        maps: Output of the network.
        points: Anchor points of the input.
        faces: Ground truth, float32 [N, f, 4], padded with rows of zeros.
        ignored: Ignored boxes, float32 [N, i, 4], padded with rows of zeros.
        recipe: Recipe with the assignment and the weight of the box loss.
    """
    logits, numbers = flatten_maps(maps)
    boxes = decode_boxes(numbers, points)
    with torch.no_grad():
        targets = assign(logits.sigmoid(), boxes, points, faces, ignored, recipe.assignment)
    total = targets.quality.sum().clamp_min(1.0)
    scored = quality_focal(logits, targets.quality) * targets.counted
    rows = targets.quality > 0
    placed: Tensor = complete_box_iou_loss(boxes[rows], targets.boxes[rows]) * targets.quality[rows]
    return (scored.sum() + recipe.box_weight * placed.sum()) / total


def quality_focal(logits: Tensor, quality: Tensor) -> Tensor:
    """Quality focal loss with exponent 2 (Li et al. 2020, arXiv:2006.04388, equation 2), without reduction.

    Args:
        logits: Logits of the scores.
        quality: Target scores, 0 to 1, same shape.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return entropy * (logits.sigmoid() - quality).square()
