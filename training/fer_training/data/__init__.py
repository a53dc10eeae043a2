"""Face images with labels and splits, from the layouts people have."""

from fer_training.data.dataset import FaceDataset
from fer_training.data.sources import load_dataset

__all__ = ["FaceDataset", "load_dataset"]
