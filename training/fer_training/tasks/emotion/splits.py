"""Training and validation split of a recipe."""

from fer_training.data import FaceDataset
from fer_training.data.dataset import HELD_OUT
from fer_training.errors import DataError
from fer_training.tasks.emotion.recipe import EmotionRecipe


def recipe_classes(data: FaceDataset, recipe: EmotionRecipe) -> FaceDataset:
    """Rename the classes as in the recipe, and drop the classes that it does not use.

    Raises:
        DataError: The data lacks a class of the recipe.
    """
    renamed = data.renamed(recipe.data.rename)
    return renamed.with_classes(recipe.data.labels or renamed.classes)


def train_and_validation(data: FaceDataset, recipe: EmotionRecipe) -> tuple[FaceDataset, FaceDataset]:
    """Return the training split and the validation split.

    If the data has no validation split, a stratified part of the training split is held out. If the data has only
    one split, it is the training split.

    Raises:
        DataError: The data has several splits, and none is listed in the recipe's `data.train`.
    """
    config = recipe.data
    train = data.first_split(config.train)
    if train is None:
        if len(data.split_sizes) > 1:
            raise DataError(
                f"the data has the splits {', '.join(data.split_sizes)}, but the recipe trains on "
                f"{' or '.join(config.train)}: set data.train in the recipe"
            )
        train = next(iter(data.split_sizes))
    validation = data.first_split(config.validation)
    if validation is None:
        data, validation = data.held_out(train, config.hold_out, recipe.seed), HELD_OUT
    return data.split(train), data.split(validation)
