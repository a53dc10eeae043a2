"""Names of the classes that data sets store as numbers."""

from typing import Final

FER2013: Final = "FER-2013"  # its name as a data set
FER2013_LABELS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
