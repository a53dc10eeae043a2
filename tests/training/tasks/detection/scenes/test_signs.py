import numpy as np
from fer_training.tasks.detection.scenes.signs import sign_tile


def test_every_sign_has_its_size_and_something_on_its_ground() -> None:
    rng = np.random.default_rng(0)
    tiles = np.stack([sign_tile(rng, 48) for _ in range(60)])
    assert tiles.shape == (60, 48, 48, 3)
    assert tiles.dtype == np.uint8
    drawn = np.ptp(tiles.reshape(60, -1, 3).astype(int), axis=1).max(axis=1)
    assert (drawn > 10).mean() > 0.9


def test_the_same_seed_gives_the_same_sign() -> None:
    first, second = (sign_tile(np.random.default_rng(5), 48) for _ in range(2))
    np.testing.assert_array_equal(first, second)
