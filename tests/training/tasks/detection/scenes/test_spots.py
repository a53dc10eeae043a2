import numpy as np
from fer_training.tasks.detection.scenes.spots import spot_image, spot_tile


def test_an_image_of_spots_has_its_size_and_more_than_one_colour() -> None:
    image = spot_image(np.random.default_rng(0), 120, 80)
    assert image.shape == (80, 120, 3)
    assert image.dtype == np.uint8
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 50


def test_the_same_seed_gives_the_same_image() -> None:
    first, second = (spot_image(np.random.default_rng(3), 90, 90) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_tile_shows_something_round_in_its_middle() -> None:
    for seed in range(20):
        tile = spot_tile(np.random.default_rng(seed), 48).astype(float)
        corners = np.stack([tile[0, 0], tile[0, -1], tile[-1, 0], tile[-1, -1]])
        middle = tile[18:30, 18:30].mean(axis=(0, 1))
        assert np.abs(middle - corners.mean(axis=0)).max() > 15
        assert np.abs(corners - corners[0]).max() < 40
