"""Training and validation split of a recipe."""

from fer_training.data import FaceDataset
from fer_training.data.class_folders import ALL
from fer_training.data.dataset import HELD_OUT
from fer_training.data.doubts import Doubt, find_doubts, rename_line, suggested_names
from fer_training.data.names import is_test_or_validation
from fer_training.errors import DataError
from fer_training.tasks.emotion.recipe import Data, EmotionRecipe


def recipe_classes(data: FaceDataset, recipe: EmotionRecipe) -> FaceDataset:
    """Rename the classes as in the recipe, and drop the classes that it does not use.

    Raises:
        DataError: The data lacks a class of the recipe.
    """
    renamed = data.renamed(recipe.data.rename)
    labels = recipe.data.labels or renamed.classes
    try:
        return renamed.with_classes(labels)
    except DataError as error:
        missing = [label for label in labels if label not in renamed.classes]
        names = suggested_names(missing, [label for label in renamed.classes if label not in labels])
        if not names:
            raise
        raise DataError(f"{error}. Put this into the recipe: {rename_line(recipe.data.rename | names)}") from error


def chosen_splits(data: FaceDataset, config: Data) -> tuple[str, str | None]:
    """Return the names of the training split and of the validation split. None holds out a part of the first.

    Raises:
        DataError: The data has several splits, and none is listed in the recipe's `data.train`, or several are.
    """
    train = data.first_split(config.train)
    listed = {data.first_split((name,)) for name in config.train} - {None}
    if len(listed) > 1:
        raise DataError(
            f"data.train must match one split, but it matches {', '.join(sorted(map(str, listed)))}: put their "
            "images into one split, or list only one of these names"
        )
    if train is None:
        if len(data.split_sizes) > 1:
            sizes = data.split_sizes
            if all(map(is_test_or_validation, sizes)):
                raise DataError(
                    f"the data has the splits {', '.join(sizes)}, but none for training: add a split named train"
                )
            largest = max(sizes, key=lambda name: (not is_test_or_validation(name), sizes[name]))
            raise DataError(
                f"the data has the splits {', '.join(data.split_sizes)}, but the recipe trains on "
                f"{' or '.join(config.train)}: set data.train in the recipe, for example data: {{train: "
                f"[{largest}]}}"
            )
        train = next(iter(data.split_sizes))
    validation = data.first_split(config.validation)
    return train, None if validation == train else validation


def used_splits(data: FaceDataset, config: Data) -> str:
    """Return a sentence about which splits a training uses, and for what.

    Raises:
        DataError: The recipe names none of the splits (see `chosen_splits`).
    """
    train, validation = chosen_splits(data, config)
    unused = [name for name in data.split_sizes if name not in (train, validation)]
    text = f"{train} for training, {validation} for validation"
    if validation is None:
        whole = "the images" if train == ALL else train
        text = f"{1 - config.hold_out:.0%} of {whole} for training, the other {config.hold_out:.0%} for validation"
    return text + (f"; not used: {', '.join(unused)}" if unused else "")


def training_doubts(data: FaceDataset, config: Data) -> list[Doubt]:
    """Return what makes a training on these classes and splits doubtful (see `find_doubts`).

    Args:
        data: Data with the classes of the recipe.
        config: Splits of the recipe.
    """
    try:
        train, validation = chosen_splits(data, config)
    except DataError as error:
        return [Doubt(str(error), refused=True)]
    doubts = find_doubts(data, train, validation)
    if validation is None:
        try:
            if HELD_OUT not in data.held_out(train, config.hold_out, seed=0).split_sizes:
                doubts.append(Doubt(_too_few(data, train, config), refused=True))
        except DataError as error:
            doubts.append(Doubt(str(error), refused=True))
    return doubts


def _too_few(data: FaceDataset, train: str, config: Data) -> str:
    return (
        f"{data.split_sizes[train]} images are too few to hold out {config.hold_out:.0%} of each class for "
        "validation: add images, add a split named validation, or increase data.hold_out in the recipe"
    )


def train_and_validation(data: FaceDataset, recipe: EmotionRecipe) -> tuple[FaceDataset, FaceDataset]:
    """Return the training split and the validation split.

    If the data has no validation split, a stratified part of the training split is held out. If the data has only
    one split, it is the training split.

    Raises:
        DataError: The data has several splits, and none is listed in the recipe's `data.train`.
    """
    config = recipe.data
    train, validation = chosen_splits(data, config)
    if validation is None:
        whole, validation = data, HELD_OUT
        data = data.held_out(train, config.hold_out, recipe.seed)
        if HELD_OUT not in data.split_sizes:
            raise DataError(_too_few(whole, train, config))
    return data.split(train), data.split(validation)
