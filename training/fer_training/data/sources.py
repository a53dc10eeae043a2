"""Which adapter reads what: the one place that looks at a path's form."""

from pathlib import Path

from fer_training.data import challenge_csv, folders, parquet
from fer_training.data.dataset import FaceDataset
from fer_training.errors import DataError


def load_dataset(path: Path, size: int) -> FaceDataset:
    """Read a parquet file, the challenge's CSV, or a folder with one folder a class.

    Args:
        path: The file or folder.
        size: Side in pixels for images that are not all of one square size already.

    Raises:
        DataError: the path is missing or holds none of these layouts.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    if path.is_dir():
        return folders.read(path, size)
    if path.suffix == ".parquet":
        return parquet.read(path)
    if path.suffix == ".csv":
        return challenge_csv.read(path)
    raise DataError(f"{path}: give a .parquet file, the challenge's .csv, or a folder with one folder a class")
