import numpy as np
from fer_training.tasks.detection.scenes.degrade import degrade


def test_a_degraded_image_keeps_its_shape_and_follows_from_the_seed() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    before, results = pixels.copy(), []
    for seed in range(40):
        result = degrade(pixels, np.random.default_rng(seed))
        assert (result.shape, result.dtype) == ((40, 60, 3), np.uint8)
        assert np.array_equal(result, degrade(pixels, np.random.default_rng(seed)))
        results.append(result)
    assert np.array_equal(pixels, before)
    assert len({result.tobytes() for result in results}) == 40


def test_faces_stay_where_they_are() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[20:44, 30:54] = 200
    for seed in range(40):
        light = degrade(pixels, np.random.default_rng(seed)).mean(axis=2)
        inside, outside = light[22:42, 32:52].mean(), light[:, :26].mean()
        assert inside > outside + 20
