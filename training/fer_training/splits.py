"""Which part of the data a recipe fits its weights to, and which part it chooses by."""

from fer_training.config import Recipe
from fer_training.data import FaceDataset
from fer_training.data.dataset import HELD_OUT
from fer_training.errors import DataError


def recipe_classes(data: FaceDataset, recipe: Recipe) -> FaceDataset:
    """The data with the recipe's class names, and only its classes.

    Raises:
        DataError: the data lacks one of the classes.
    """
    renamed = data.renamed(recipe.data.rename)
    return renamed.with_classes(recipe.data.labels or renamed.classes)


def train_and_validation(data: FaceDataset, recipe: Recipe) -> tuple[FaceDataset, FaceDataset]:
    """The two splits of a training.

    Where the data has no split to choose by, a stratified part of the train split is held out for it; where it has
    one split only, that one is the train split.

    Raises:
        DataError: the data has several splits, and none of them is named as one to fit to.
    """
    config = recipe.data
    train = data.first_split_of(config.train)
    if train is None:
        if len(data.split_sizes) > 1:
            raise DataError(
                f"none of the splits {', '.join(data.split_sizes)} is one that the recipe fits to "
                f"({', '.join(config.train)}); name it under data.train"
            )
        train = next(iter(data.split_sizes))
    validation = data.first_split_of(config.validation)
    if validation is None:
        data, validation = data.held_out(train, config.hold_out, recipe.seed), HELD_OUT
    return data.split(train), data.split(validation)
