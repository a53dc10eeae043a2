"""Changes of training faces that move their landmarks with them."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from fer_training.tasks.landmarks.recipe import Changes

MIRRORED = [1, 0, 2, 4, 3]  # the person's right and left change places
_COARSEST = 0.3  # share of the side
_NOISE = 8.0  # levels


def augment(levels: Tensor, points: Tensor, changes: Changes) -> tuple[Tensor, Tensor]:
    """Rotate, scale, shift, mirror, darken and coarsen faces at random.

    Args:
        levels: float [N, 1, S, S], 0 to 255.
        points: float [N, 5, 2], in sides.
        changes: How much.
    """
    count, side = len(levels), levels.shape[2]
    uniform, kind = torch.rand(count) * 2 - 1, torch.rand(count)
    turn = torch.where(kind < changes.turned, uniform * changes.turn, torch.randn(count) * changes.tilt)
    turn = torch.where(kind > 1 - changes.around, uniform * 180, turn)
    mirror = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    levels, points = transform(
        levels,
        points,
        angle=turn * (math.pi / 180),
        scale=torch.exp(torch.randn(count) * changes.scale),
        shift=torch.randn(count, 2) * changes.shift,
        mirror=mirror,
    )
    if torch.rand(()) < changes.coarse:
        fewer = int(torch.randint(max(round(_COARSEST * side), 2), side, ()))
        small = functional.interpolate(levels, size=fewer, mode="bilinear", antialias=True)
        levels = functional.interpolate(small, size=side, mode="bilinear")
    gain, offset = torch.rand(2, count, 1, 1, 1).unbind()
    levels = (levels * (0.5 + gain) + (offset - 0.5) * 60).clamp(0, 255)
    if torch.rand(()) < changes.noise:
        levels = levels + torch.randn_like(levels) * _NOISE
    return levels, points


def transform(
    levels: Tensor, points: Tensor, *, angle: Tensor, scale: Tensor, shift: Tensor, mirror: Tensor
) -> tuple[Tensor, Tensor]:
    """Transform images about their centres, with the points in them.

    Args:
        levels: float [N, 1, S, S].
        points: float [N, 5, 2], in sides.
        angle: float [N], anticlockwise rotation in radians.
        scale: float [N]; above 1 shows more of the image's surroundings.
        shift: float [N, 2], in half sides; positive values show what lies to the right and below.
        mirror: float [N]; -1 mirrors.
    """
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    # From places of the result to those of the image, both from -1 to 1.
    linear = torch.stack([torch.stack([cos * mirror, -sin], 1), torch.stack([sin * mirror, cos], 1)], 1)
    grid = functional.affine_grid(
        torch.cat([linear, shift[:, :, None]], 2), list(levels.shape), align_corners=False
    )
    moved = functional.grid_sample(levels, grid, padding_mode="border", align_corners=False)
    places = (points * 2 - 1 - shift[:, None]) @ torch.linalg.inv(linear).transpose(1, 2)
    places = torch.where(mirror[:, None, None] < 0, places[:, MIRRORED], places)
    return moved, (places + 1) / 2
