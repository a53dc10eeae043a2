"""Face pictures with labels and splits, from the layouts people have."""

from training.data.dataset import FaceDataset
from training.data.sources import load_dataset

__all__ = ["FaceDataset", "load_dataset"]
