"""The tasks: one folder each, with a module `task` that holds `TASK`, a `fer_training.engine.task.Task`.

The folder's name is the value of `task:` in a recipe.
"""

import pkgutil
from importlib import import_module
from pathlib import Path

from fer_service.onnx.model_file import property_names

from fer_training.engine.task import Task
from fer_training.errors import RecipeError

DEFAULT = "emotion"


def available_tasks() -> tuple[str, ...]:
    """Names of the tasks, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg))


def task_named(name: str) -> Task:
    """Return a task.

    Raises:
        RecipeError: There is no such task.
    """
    if name not in available_tasks():
        raise RecipeError(f"unknown task {name!r}: use one of {', '.join(available_tasks())}")
    task: Task = import_module(f"{__name__}.{name}.task").TASK
    return task


def task_of(recipe: object) -> Task:
    """Return the task of a recipe's content: that of its line `task:`, or emotion without one.

    Raises:
        RecipeError: There is no such task.
    """
    return task_named(str(recipe.get("task", DEFAULT)) if isinstance(recipe, dict) else DEFAULT)


def task_of_model(path: Path) -> Task:
    """Return the task of an ONNX file; a file that no other task knows is taken for an emotion model."""
    names = property_names(path)
    tasks = map(task_named, available_tasks())
    return next((task for task in tasks if task.metadata_key in names), task_named(DEFAULT))
