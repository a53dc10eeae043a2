import pytest
import torch

from tests.training.detector.made import COMPOSE, make_recipe
from training.detector.batches import Batch, Epoch, batches, steps_of
from training.detector.material import Material
from training.detector.recipe import DetectorRecipe


def epoch_of(material: Material, recipe: DetectorRecipe, number: int) -> list[Batch]:
    return list(batches(material.composer(recipe.compose), recipe, number))


def same(one: list[Batch], other: list[Batch]) -> bool:
    return all(
        torch.equal(a.pixels, b.pixels) and torch.equal(a.faces, b.faces) and torch.equal(a.ignored, b.ignored)
        for a, b in zip(one, other, strict=True)
    )


def test_an_epochs_batches_follow_from_its_number(material: Material) -> None:
    recipe = make_recipe()
    first = epoch_of(material, recipe, 0)
    assert len(first) == 4
    assert same(first, epoch_of(material, recipe, 0))
    assert not same(first, epoch_of(material, recipe, 1))
    assert not same(first, epoch_of(material, make_recipe(seed=1), 0))


def test_any_batch_can_be_made_alone(material: Material) -> None:
    recipe = make_recipe()
    assert same(epoch_of(material, recipe, 2)[3:], [Epoch(material.composer(recipe.compose), recipe, 2)[3]])


def test_larger_pictures_come_in_smaller_batches(material: Material) -> None:
    recipe = make_recipe(compose=COMPOSE | {"sides": [64, 128], "pixels": 4 * 128 * 128}, epoch_pictures=100)
    assert steps_of(recipe) == 10
    shapes = {tuple(batch.pixels.shape) for batch in epoch_of(material, recipe, 0)}
    assert shapes == {(16, 64, 64, 3), (4, 128, 128, 3)}


def test_faces_are_padded_with_rows_of_zeros(material: Material) -> None:
    batch = epoch_of(material, make_recipe(), 0)[0]
    sizes = batch.faces[..., 2:] - batch.faces[..., :2]
    real = (sizes > 0).all(dim=2)
    assert real.any()
    assert (batch.faces[~real] == 0).all()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_processes_make_the_same_batches(material: Material) -> None:
    recipe = make_recipe()
    assert same(epoch_of(material, recipe, 0), epoch_of(material, recipe.model_copy(update={"workers": 1}), 0))
