"""Selection of the data adapter for a path."""

from pathlib import Path

from fer_training.data import challenge_csv, folders, parquet, table
from fer_training.data.dataset import FaceDataset
from fer_training.errors import DataError


def load_dataset(path: Path, size: int, *, in_memory_bytes: int = folders.IN_MEMORY_BYTES) -> FaceDataset:
    """Read FER-2013 as parquet or CSV, or a folder with one folder per class.

    Args:
        path: File or folder.
        size: Side in pixels to which images of folders are resized. FER-2013 files keep 48 px.
        in_memory_bytes: Larger folders are read on demand (see `folders.read`).

    Raises:
        DataError: The path is missing, or its layout is unknown or invalid.
    """
    if not path.exists():
        raise DataError(f"{path}: file or folder not found")
    if path.is_dir():
        return folders.read(path, size, in_memory_bytes)
    if path.suffix.lower() == ".parquet":
        return parquet.read(path)
    if path.suffix.lower() in table.SUFFIXES or path.name.lower().endswith(".csv.gz"):
        return challenge_csv.read(path)
    raise DataError(
        f"{path}: unknown format; give fer2013 as .parquet or .csv, or a folder with one folder per class"
    )
