import math

import numpy as np
import pytest
import torch
from fer_training.tasks.landmarks.augment import augment, transform
from fer_training.tasks.landmarks.recipe import SIDE, Changes
from torch import Tensor

from tests.training.tasks.landmarks.made import make_points, make_tiles

POINTS = make_points(6)
LEVELS = torch.from_numpy(make_tiles(POINTS)).float()[:, None]


def darkness_at(levels: Tensor, points: Tensor) -> list[float]:
    """How much darker than the background the images are at their points, in levels."""
    places = (points * SIDE).long().clamp(0, SIDE - 1)
    return [220 - float(image[0, y, x]) for image, five in zip(levels, places, strict=True) for x, y in five]


@pytest.mark.parametrize("mirror", [1.0, -1.0])
@pytest.mark.parametrize("angle", [0.0, 30.0, -50.0])
def test_the_points_move_with_the_image(angle: float, mirror: float) -> None:
    count = len(LEVELS)
    levels, points = transform(
        LEVELS,
        torch.from_numpy(POINTS),
        angle=torch.full((count,), math.radians(angle)),
        scale=torch.full((count,), 0.9),
        shift=torch.full((count, 2), 0.05),
        mirror=torch.full((count,), mirror),
    )
    assert min(darkness_at(levels, points)) > 40


def test_a_mirrored_face_keeps_its_right_eye_on_the_left() -> None:
    ones = torch.ones(len(LEVELS))
    _, points = transform(
        LEVELS,
        torch.from_numpy(POINTS),
        angle=ones * 0,
        scale=ones,
        shift=torch.zeros(len(LEVELS), 2),
        mirror=-ones,
    )
    assert (points[:, 0, 0] < points[:, 1, 0]).all()
    assert (points[:, 3, 0] < points[:, 4, 0]).all()


def test_augmented_images_stay_levels_and_differ() -> None:
    torch.manual_seed(0)
    calm = Changes(coarse=0, noise=0)
    levels, points = augment(LEVELS, torch.from_numpy(POINTS), calm)
    assert levels.shape == LEVELS.shape
    assert levels.min() >= 0
    assert levels.max() <= 255
    again, _ = augment(LEVELS, torch.from_numpy(POINTS), calm)
    assert not torch.equal(levels, again)
    assert np.isfinite(points.numpy()).all()


def test_images_are_rotated_in_both_directions_up_to_the_maximum() -> None:
    torch.manual_seed(0)
    many = torch.from_numpy(POINTS[:1]).expand(500, -1, -1)
    still = Changes(around=0, turned=1.0, turn=60.0, scale=0, shift=0, coarse=0, noise=0)
    _, points = augment(LEVELS[:1].expand(500, -1, -1, -1), many, still)
    across, down = (points[:, 1] - points[:, 0]).unbind(1)
    angles = torch.rad2deg(torch.atan2(down, across))
    assert angles.abs().max() < 75  # the faces are turned by some degrees themselves
    assert angles.min() < -45
    assert angles.max() > 45
