import numpy as np
import pytest
from fer_training.tasks.detection.scenes.paste import (
    BOX_HEIGHT,
    Place,
    paste,
    rotate_sideways,
    shuffle_blocks,
    skin_colour,
    soft_mask,
    tint,
)

from tests.training.tasks.detection.made import face_tile


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("side", [20, 48, 110])
@pytest.mark.parametrize("turn", [0.0, 40.0])
def test_a_pasted_tile_lies_in_its_box(side: float, turn: float) -> None:
    canvas = np.zeros((200, 240, 3), np.uint8)
    place = Place(130, 90, side, turn)
    paste(canvas, np.full((48, 48, 3), 255, np.uint8), place, soft_mask(rng()))
    rows, columns = np.nonzero(canvas[..., 0] > 100)
    left, _, right, _ = place.box()[0]
    assert (columns.mean(), rows.mean()) == pytest.approx((130, 90), abs=1)
    assert (left + right) / 2 == pytest.approx(130)
    assert columns.min() > left - 0.15 * side
    assert columns.max() < right + 0.15 * side
    assert rows.max() - rows.min() > 0.6 * side


def test_the_box_has_the_documented_height() -> None:
    _, top, _, bottom = Place(0, 0, 100, 0).box()[0]
    assert bottom - top == pytest.approx(100 * BOX_HEIGHT)


def test_a_mirrored_place_mirrors_the_tile() -> None:
    tile = np.zeros((48, 48, 3), np.uint8)
    tile[:, 24:] = 255
    means = []
    for mirrored in (False, True):
        canvas = np.zeros((100, 100, 3), np.uint8)
        paste(canvas, tile, Place(50, 50, 60, 0, mirrored), np.ones((64, 64), np.float32))
        means.append(canvas[:, :50].mean() - canvas[:, 50:].mean())
    assert means[0] < -20
    assert means[1] > 20


def test_what_lies_outside_of_the_image_is_cut_off() -> None:
    canvas = np.zeros((40, 40, 3), np.uint8)
    paste(canvas, np.full((48, 48, 3), 255, np.uint8), Place(0, 0, 30, 0), soft_mask(rng()))
    paste(canvas, np.full((48, 48, 3), 255, np.uint8), Place(-500, 20, 30, 0), soft_mask(rng()))
    assert canvas[:8, :8].mean() > 100
    assert canvas[20:, 20:].max() == 0


def test_every_mask_hides_the_edge_of_the_tile() -> None:
    generator = rng()
    for _ in range(50):
        mask = soft_mask(generator)
        edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        assert edge.max() < 0.05
        assert mask[32, 32] > 0.98


def test_a_tint_gives_the_tile_the_colours_mean() -> None:
    tile = tint(face_tile(), np.array([120, 90, 60], np.float32), 0.8)
    assert tile.reshape(-1, 3).mean(axis=0) == pytest.approx([120, 90, 60], abs=3)


def test_a_face_rotated_sideways_moves_like_the_front_of_a_cylinder() -> None:
    tile = np.zeros((48, 48), np.uint8)
    tile[:, 22:26] = 255
    assert np.array_equal(rotate_sideways(tile, 0.0), tile)
    for degrees in (-40, -15, 15, 40):
        turned = rotate_sideways(tile, degrees).astype(float)
        place = (turned.sum(axis=0) * np.arange(48)).sum() / turned.sum()
        assert place == pytest.approx(23.5 + 24 * np.sin(np.deg2rad(degrees)), abs=1)


def test_a_shuffled_tile_has_every_block_elsewhere() -> None:
    tile = np.arange(48 * 48, dtype=np.uint32).reshape(48, 48)
    generator = rng()
    for _ in range(20):
        mixed = shuffle_blocks(tile, generator)  # type: ignore[arg-type]
        assert sorted(mixed.ravel()) == sorted(tile.ravel())
        assert not (mixed == tile).any()


def test_skins_go_from_dark_to_light_and_are_redder_than_blue() -> None:
    generator = rng()
    colours = np.stack([skin_colour(generator) for _ in range(300)])
    assert colours.min() >= 0
    assert colours.max() <= 255
    assert (colours[:, 0] < 90).mean() > 0.1
    assert (colours[:, 0] > 180).mean() > 0.1
    assert (colours[:, 0] > colours[:, 2]).mean() > 0.95
