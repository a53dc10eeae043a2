"""What the detector's training minimises."""

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import complete_box_iou_loss

from fer_training.detector.assign import assign
from fer_training.detector.network import AnchorPoints, boxes_of, flattened
from fer_training.detector.recipe import DetectorRecipe


def detection_loss(
    maps: list[Tensor], cells: AnchorPoints, faces: Tensor, ignored: Tensor, recipe: DetectorRecipe
) -> Tensor:
    """Scores and boxes of a batch against its faces.

    Args:
        maps: The network's answer.
        cells: Its places.
        faces: float32 [N, f, 4], padded with rows of zeros.
        ignored: float32 [N, i, 4], likewise.
        recipe: The assignment, and the weight of the boxes.
    """
    logits, numbers = flattened(maps)
    boxes = boxes_of(numbers, cells)
    with torch.no_grad():
        targets = assign(logits.sigmoid(), boxes, cells, faces, ignored, recipe.assignment)
    total = targets.quality.sum().clamp_min(1.0)
    scored = quality_focal(logits, targets.quality) * targets.counted
    rows = targets.quality > 0
    placed: Tensor = complete_box_iou_loss(boxes[rows], targets.boxes[rows]) * targets.quality[rows]
    return (scored.sum() + recipe.box_weight * placed.sum()) / total


def quality_focal(logits: Tensor, quality: Tensor) -> Tensor:
    """Quality focal loss with exponent 2 (Li et al. 2020, arXiv:2006.04388, equation 2), an entry each.

    Args:
        logits: Of the scores.
        quality: What the scores should be, 0 to 1.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return entropy * (logits.sigmoid() - quality).square()
