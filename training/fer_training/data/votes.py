"""FER+'s votes (Barsoum et al. 2016, arXiv:1608.01041) beside FER-2013's labels."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

# In the order of FER-2013's labels; FER+'s contempt, unknown and NF have no counterpart.
FERPLUS_COLUMNS: Final = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
FERPLUS_ORDER: Final = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)


def normalised(votes: NDArray[np.floating]) -> NDArray[np.float32]:
    """Counts [N, classes] as shares that sum to 1; rows without a vote stay 0."""
    totals = votes.sum(axis=1, keepdims=True)
    shares = votes / np.where(totals > 0, totals, 1)
    return shares.astype(np.float32)
