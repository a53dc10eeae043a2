"""Which part of the data a recipe fits its weights to, and which part it chooses by."""

from training.config import Recipe
from training.data import FaceDataset
from training.data.dataset import HELD_OUT
from training.errors import DataError


def recipe_classes(data: FaceDataset, recipe: Recipe) -> FaceDataset:
    """The data with the recipe's class names, and only its classes.

    Raises:
        DataError: the data lacks one of the classes.
    """
    renamed = data.renamed(recipe.data.rename)
    return renamed.with_classes(recipe.data.labels or renamed.classes)


def fit_and_select(data: FaceDataset, recipe: Recipe) -> tuple[FaceDataset, FaceDataset]:
    """The two splits of a training.

    Where the data has no split to choose by, a stratified part of the fit split is held out for it; where it has
    one split only, that one is the fit split.

    Raises:
        DataError: the data has several splits, and none of them is named as one to fit to.
    """
    config = recipe.data
    fit = data.first_split_of(config.fit)
    if fit is None:
        if len(data.split_sizes) > 1:
            raise DataError(
                f"none of the splits {', '.join(data.split_sizes)} is one that the recipe fits to "
                f"({', '.join(config.fit)}); name it under data.fit"
            )
        fit = next(iter(data.split_sizes))
    select = data.first_split_of(config.select)
    if select is None:
        data, select = data.held_out(fit, config.hold_out, recipe.seed), HELD_OUT
    return data.split(fit), data.split(select)
