"""Measurement of landmarks on faces, as they are and rotated."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fer_training.tasks.landmarks.augment import transform
from fer_training.tasks.landmarks.learner import Faces

TURN = 30.0  # degrees
Find = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Errors:
    """Errors on one set of faces.

    Attributes:
        distance: Mean distance of the points, in sides.
        roll: Median error of the angle of the line between the eyes, in degrees.
    """

    distance: float
    roll: float


def measured(find: Find, faces: Faces) -> tuple[Errors, Errors]:
    """Measure the landmarks of faces as they are, and rotated by 30° in both directions.

    Args:
        find: Returns points float [n, 5, 2], in sides, for grey levels float [n, 1, S, S].
        faces: The faces.
    """
    turned = []
    for direction in (-1, 1):
        count = len(faces)
        angle = torch.full((count,), math.radians(TURN) * direction)
        ones = torch.ones(count)
        levels, points = transform(
            faces.levels, faces.points, angle=angle, scale=ones, shift=torch.zeros(count, 2), mirror=ones
        )
        turned.append((find(levels.round()), points))
    found, points = (torch.cat(parts) for parts in zip(*turned, strict=True))
    return _errors(find(faces.levels), faces.points), _errors(found, points)


def _errors(found: Tensor, points: Tensor) -> Errors:
    apart = (_roll(found) - _roll(points) + 180) % 360 - 180
    return Errors(float((found - points).norm(dim=2).mean()), float(apart.abs().median()))


def _roll(points: Tensor) -> Tensor:
    x, y = (points[:, 1] - points[:, 0]).unbind(dim=1)
    return torch.rad2deg(torch.atan2(y, x))
