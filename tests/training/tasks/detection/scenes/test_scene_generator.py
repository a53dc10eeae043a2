from dataclasses import replace

import numpy as np
import pytest
from fer_training.tasks.detection.assets import SceneAssets
from fer_training.tasks.detection.recipe import SceneConfig
from fer_training.tasks.detection.scenes.scene_generator import SceneGenerator, TrainingImage

from tests.training.tasks.detection.made import SCENES, make_assets

BLACK = [np.zeros((100, 100, 3), np.uint8)]


def generator(assets: SceneAssets, **changes: object) -> SceneGenerator:
    config = SceneConfig.model_validate(SCENES | changes)
    return SceneGenerator(config, assets.train, assets.faces, BLACK)


def images(made: SceneGenerator, count: int = 30) -> list[TrainingImage]:
    return [made.generate(np.random.default_rng(number), 96) for number in range(count)]


def test_the_seed_alone_decides_what_is_made() -> None:
    first, again = (images(generator(make_assets()), 6) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.boxes, other.boxes)
    assert not np.array_equal(first[0].pixels, first[1].pixels)


def test_boxes_lie_in_the_image_and_have_a_size(assets: SceneAssets) -> None:
    for made in images(generator(assets)):
        assert made.pixels.shape == (96, 96, 3)
        assert made.pixels.dtype == np.uint8
        assert (made.boxes >= 0).all()
        assert (made.boxes <= 96).all()
        assert (made.boxes[:, 3] - made.boxes[:, 1] >= 7).all()


def test_pasted_faces_are_where_their_boxes_say(assets: SceneAssets) -> None:
    upside_down = replace(assets, faces=assets.faces[:, ::-1])
    makers = [generator(each, empty=1.0, decoys=0.0) for each in (assets, upside_down)]
    count = 0
    for number in range(60):
        one, other = (maker._view(np.random.default_rng(number), 96, 96) for maker in makers)
        changed = (one.pixels != other.pixels).any(axis=2)
        for left, top, right, bottom in one.boxes.astype(int):
            assert changed[top:bottom, left:right].any()
            count += 1
        for left, top, right, bottom in np.concatenate([one.boxes, one.ignored]).astype(int):
            reach = 4 + max(bottom - top, right - left) // 4
            changed[max(top - reach, 0) : bottom + reach, max(left - reach, 0) : right + reach] = False
        assert not changed.any()
    assert count > 20


def test_decoys_are_no_faces(assets: SceneAssets) -> None:
    made = images(generator(assets, empty=1.0, pastes=0.0, decoys=3.0))
    assert all(len(image.boxes) == 0 for image in made)
    assert any(image.pixels.std() > 10 for image in made)


def test_an_image_without_people_and_pastes_has_no_faces(assets: SceneAssets) -> None:
    made = images(generator(assets, empty=1.0, pastes=0.0, decoys=0.0))
    assert all(len(image.boxes) + len(image.ignored) == 0 for image in made)


def test_half_of_the_images_without_people_are_upright(assets: SceneAssets) -> None:
    ramp = np.repeat(np.linspace(0, 255, 100, dtype=np.uint8)[:, None, None], 100, axis=1).repeat(3, axis=2)
    maker = SceneGenerator(SceneConfig.model_validate(SCENES), assets.train, assets.faces, [ramp])
    slopes = []
    for seed in range(300):
        pixels = maker._background(np.random.default_rng(seed), 96, 96)[0][36:60, 36:60].astype(float)
        down, across = np.diff(pixels, axis=0).mean(), np.diff(pixels, axis=1).mean()
        slopes.append(np.degrees(np.arctan2(across, down)))
    # A quarter of the images are spots, which have no orientation.
    assert 0.3 < np.mean(np.abs(slopes) < 12) < 0.5
    assert min(slopes) < -150
    assert max(slopes) > 150


def test_photographs_with_bare_faces_can_be_preferred() -> None:
    assets = make_assets()
    masked = [replace(photo, bare=np.zeros(2, bool)) for photo in assets.train[:-1]]
    config = SceneConfig.model_validate(SCENES | {"bare": 1.0, "empty": 0.0, "unmask": 0.0})
    maker = SceneGenerator(config, [*masked, assets.train[-1]], assets.faces, BLACK)
    shown = [maker._photographed(np.random.default_rng(seed), 96, 96)[2] for seed in range(9)]
    assert {tuple(bare.tolist()) for bare in shown} == {(True, False)}


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_covered_masks_become_bare_faces_where_the_recipe_says_so(assets: SceneAssets, chance: float) -> None:
    plain = {"mosaic": 0.0, "empty": 0.0, "pastes": 0.0, "decoys": 0.0, "unmask": chance, "bare": 0.0}
    first = generator(assets, **plain)._view(np.random.default_rng(3), 96, 96)
    without = generator(assets, **(plain | {"unmask": 0.0}))._view(np.random.default_rng(3), 96, 96)
    assert np.array_equal(first.pixels, without.pixels) == (chance == 0.0)


def test_a_crowd_takes_the_place_of_single_faces_and_its_hidden_ones_do_not_count(assets: SceneAssets) -> None:
    plain = {"mosaic": 0.0, "empty": 1.0, "pastes": 0.0, "decoys": 0.0, "cover": 0.0, "smallest": 10.0}
    made = images(generator(assets, **plain, crowd=1.0))
    assert np.mean([len(image.boxes) for image in made]) > 4
    assert sum(len(image.ignored) for image in made) > 5
    assert all(len(image.boxes) == 0 for image in images(generator(assets, **plain, crowd=0.0)))


def test_faces_can_be_cut_by_the_edge(assets: SceneAssets) -> None:
    plain = {"mosaic": 0.0, "empty": 1.0, "pastes": 3.0, "decoys": 0.0, "cover": 0.0}

    def at_the_edge(chance: float) -> float:
        boxes = np.concatenate([image.boxes for image in images(generator(assets, **plain, cut=chance))])
        return float(((boxes[:, 0] == 0) | (boxes[:, 2] == 96)).mean())

    assert at_the_edge(1.0) > 0.9 > 0.5 > at_the_edge(0.0)


def test_pasted_faces_can_be_out_of_focus(assets: SceneAssets) -> None:
    def detail(chance: float) -> float:
        maker = generator(assets, unsharp=chance)
        tiles = [maker._tiles.face(np.random.default_rng(seed)).astype(float) for seed in range(40)]
        return float(np.mean([np.abs(np.diff(tile, axis=1)).mean() for tile in tiles]))

    assert detail(1.0) < 0.8 * detail(0.0)


def test_degradation_can_be_disabled(assets: SceneAssets) -> None:
    for number in range(20):
        made = generator(assets, degrade=0.0, mosaic=0.0)
        left = made.generate(np.random.default_rng(number), 96).pixels
        rng = np.random.default_rng(number)
        rng.random()  # the draw of the mosaic
        assert np.array_equal(left, made._view(rng, 96, 96).pixels)
        changed = generator(assets, mosaic=0.0).generate(np.random.default_rng(number), 96).pixels
        assert not np.array_equal(left, changed)


def test_pasted_faces_can_be_rotated_sideways(assets: SceneAssets) -> None:
    def balance(chance: float) -> list[float]:
        maker = generator(assets, aside=chance)
        faces = [maker._tiles.grey_face(np.random.default_rng(seed)).astype(float) for seed in range(20)]
        return [float(face[:, :24].mean() - face[:, 24:].mean()) for face in faces]

    # The tiles are bright centred discs.
    assert np.abs(balance(0.0)).max() < 6
    assert np.abs(balance(1.0)).min() > 30
    assert min(balance(1.0)) < -20
    assert max(balance(1.0)) > 20
