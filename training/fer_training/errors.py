"""What can be wrong with a training, as exceptions whose text is meant for the person who started it.

TrainingError
├── RecipeError     the recipe cannot be read, or a line of it is wrong
├── DataError       the data cannot be read, or lacks what was asked of it
├── RunError        the run folder is not what the command needs
└── ExportError     the exported file does not do what the network does
"""


class TrainingError(Exception):
    """Base of all errors that end a command with one sentence instead of a traceback."""


class RecipeError(TrainingError):
    """The recipe cannot be read, or a line of it is wrong."""


class DataError(TrainingError):
    """The data cannot be read, or lacks what was asked of it."""


class RunError(TrainingError):
    """The run folder is not what the command needs."""


class ExportError(TrainingError):
    """The exported file does not do what the network does."""
