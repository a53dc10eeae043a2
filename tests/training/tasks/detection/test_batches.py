import pytest
import torch
from fer_training.tasks.detection.assets import SceneAssets
from fer_training.tasks.detection.batches import Batch, Epoch, batches, steps_per_epoch
from fer_training.tasks.detection.recipe import DetectionRecipe

from tests.training.tasks.detection.made import SCENES, make_recipe


def epoch_of(assets: SceneAssets, recipe: DetectionRecipe, number: int) -> list[Batch]:
    return list(batches(assets.scene_generator(recipe.scenes), recipe, number))


def same(one: list[Batch], other: list[Batch]) -> bool:
    return all(
        torch.equal(a.pixels, b.pixels) and torch.equal(a.faces, b.faces) and torch.equal(a.ignored, b.ignored)
        for a, b in zip(one, other, strict=True)
    )


def test_an_epochs_batches_follow_from_its_number(assets: SceneAssets) -> None:
    recipe = make_recipe(epoch_images=32)
    first = epoch_of(assets, recipe, 0)
    assert len(first) == 4
    assert same(first, epoch_of(assets, recipe, 0))
    assert not same(first, epoch_of(assets, recipe, 1))
    assert not same(first, epoch_of(assets, make_recipe(seed=1), 0))


def test_any_batch_can_be_made_alone(assets: SceneAssets) -> None:
    recipe = make_recipe(epoch_images=32)
    assert same(epoch_of(assets, recipe, 2)[3:], [Epoch(assets.scene_generator(recipe.scenes), recipe, 2)[3]])


def test_larger_images_come_in_smaller_batches(assets: SceneAssets) -> None:
    recipe = make_recipe(scenes=SCENES | {"sides": [64, 128], "pixels": 4 * 128 * 128}, epoch_images=100)
    assert steps_per_epoch(recipe) == 10
    shapes = {tuple(batch.pixels.shape) for batch in epoch_of(assets, recipe, 0)}
    assert shapes == {(16, 64, 64, 3), (4, 128, 128, 3)}


def test_faces_are_padded_with_rows_of_zeros(assets: SceneAssets) -> None:
    batch = epoch_of(assets, make_recipe(), 0)[0]
    sizes = batch.faces[..., 2:] - batch.faces[..., :2]
    real = (sizes > 0).all(dim=2)
    assert real.any()
    assert (batch.faces[~real] == 0).all()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_processes_make_the_same_batches(assets: SceneAssets) -> None:
    recipe = make_recipe()
    assert same(epoch_of(assets, recipe, 0), epoch_of(assets, recipe.model_copy(update={"workers": 1}), 0))
