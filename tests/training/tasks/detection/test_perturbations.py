import numpy as np
import pytest
from fer_training.tasks.detection.perturbations import (
    PERTURBATIONS,
    add_noise,
    cover_half,
    halve,
    perturbation,
    rotate,
)

from tests.training.tasks.detection.made import photograph


@pytest.mark.parametrize("degrees", [30, -45])
def test_a_turned_photographs_boxes_go_with_their_faces(degrees: float) -> None:
    photo = photograph(1, faces=1)
    result = rotate(photo, degrees)
    left, top, right, bottom = result.boxes[0].astype(int)
    light = result.pixels.mean(axis=2)
    assert light[top:bottom, left:right].mean() > light.mean() + 20
    rows, columns = np.nonzero(light > 150)
    assert (columns.mean(), rows.mean()) == pytest.approx(((left + right) / 2, (top + bottom) / 2), abs=3)


def test_half_the_size_halves_the_boxes() -> None:
    assert halve(photograph(1)).boxes == pytest.approx(photograph(1).boxes / 2)


def test_noise_leaves_the_boxes_and_is_the_same_every_time() -> None:
    photo = photograph(1)
    assert np.array_equal(add_noise(photo).pixels, add_noise(photo).pixels)
    assert np.abs(add_noise(photo).pixels.astype(int) - photo.pixels).mean() > 10
    assert add_noise(photo).boxes is photo.boxes


def test_only_bare_faces_are_covered_and_only_by_half() -> None:
    photo = photograph(1)
    changed = (cover_half(photo).pixels != photo.pixels).any(axis=2)
    left, top, right, bottom = photo.boxes[0].astype(int)
    assert changed[top:bottom, left : (left + right) // 2].mean() > 0.9
    assert not changed[:, (left + right) // 2 :].any()


def test_every_trial_has_a_name() -> None:
    photos = [photograph(0), photograph(1)]
    assert all(len(perturbation(name, photos)) == 2 for name in PERTURBATIONS)
