"""Errors of a training command. Their messages are shown to the user.

TrainingError
├── RecipeError     invalid or unreadable recipe
├── DataError       invalid, unreadable or missing data
├── RunError        run folder that the command cannot use
└── ExportError     exported file that fails its checks or cannot be written
"""


class TrainingError(Exception):
    """Base class. The command line prints the message without a traceback."""


class RecipeError(TrainingError):
    """The recipe is invalid or cannot be read."""


class DataError(TrainingError):
    """The data is invalid, cannot be read, or lacks a required part."""


class RunError(TrainingError):
    """The command cannot use the run folder."""


class ExportError(TrainingError):
    """The exported file fails its checks or cannot be written."""
