"""FER+ votes for FER-2013 (Barsoum et al. 2016, arXiv:1608.01041)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

# In the order of FER-2013's labels, which lack contempt, unknown and NF (not a face).
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


def normalise_votes(votes: NDArray[np.floating]) -> NDArray[np.float32]:
    """Convert vote counts [N, classes] to shares that sum to 1. Rows without votes stay 0."""
    totals = votes.sum(axis=1, keepdims=True)
    shares = votes / np.where(totals > 0, totals, 1)
    return shares.astype(np.float32)
