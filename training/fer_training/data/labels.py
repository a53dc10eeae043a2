"""Names of the classes that data sets store as numbers."""

from typing import Final

FER2013_LABELS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
