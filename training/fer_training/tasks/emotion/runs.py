"""Recipe and data of a finished or interrupted run."""

from pathlib import Path

from fer_training.data import FaceDataset, load_dataset
from fer_training.engine.run_folder import RunFolder
from fer_training.errors import RunError
from fer_training.tasks.emotion.recipe import EmotionRecipe
from fer_training.tasks.emotion.splits import recipe_classes


def run_data(run: RunFolder, moved: Path | None = None) -> FaceDataset:
    """Load the data that a run was trained on, with the recipe's classes.

    Args:
        run: An emotion run.
        moved: New path of the data, if it was moved.

    Raises:
        RunError: The data differs from the run's data.
        DataError: The data is missing or cannot be read.
    """
    recipe, recorded = run.recipe(EmotionRecipe), run.environment()["data"]
    path = moved or Path(recorded["path"])
    data = load_dataset(path, recipe.network.input_size)
    if data.sha256 != recorded["sha256"]:
        raise RunError(
            f"{path} differs from the data that {run.path} was trained on: give the original data with --data"
        )
    data = recipe_classes(data, recipe)
    return data.limited(recorded.get("limit")) if recorded.get("limit") else data
