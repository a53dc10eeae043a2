"""Face images with labels and splits, read from common file layouts."""

from fer_training.data.dataset import FaceDataset
from fer_training.data.sources import load_dataset

__all__ = ["FaceDataset", "load_dataset"]
