"""Images of data sets that do not fit in memory, decoded on demand."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import TypeVar

import numpy as np
from fer_service.contract.bundle import CropGeometry
from fer_service.contract.errors import RequestError
from fer_service.imaging.crop import crop, square_over
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image
from fer_service.system.cores import available_cores
from numpy.typing import NDArray

from fer_training.errors import DataError

MAX_PIXELS = 100_000_000
_Item = TypeVar("_Item")


class FileImages:
    """A lazy array uint8 [N, S, S, 3] of image files.

    An integer index reads an image. A mask, a slice or an index array selects files without reading them.
    """

    def __init__(self, paths: Sequence[Path], size: int) -> None:
        """Store the paths.

        Args:
            paths: N image files with valid headers.
            size: Side in pixels to which each image is resized.
        """
        self._paths: NDArray[np.object_] = np.array(paths, object)
        self._size = size

    @property
    def paths(self) -> list[Path]:
        """Paths of the N files."""
        return list(self._paths)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape (N, S, S, 3)."""
        return len(self._paths), self._size, self._size, 3

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (read_square(path, self._size) for path in self._paths)

    def __getitem__(self, key: int | slice | NDArray[np.generic]) -> "NDArray[np.uint8] | FileImages":
        if isinstance(key, int | np.integer):
            return read_square(self._paths[int(key)], self._size)
        return FileImages(list(self._paths[key]), self._size)

    def load(self) -> NDArray[np.uint8]:
        """Read all images in parallel threads, uint8 [N, S, S, 3]."""
        if not len(self):
            return np.empty(self.shape, np.uint8)
        with ThreadPoolExecutor(available_cores()) as pool:
            return np.stack(list(pool.map(lambda path: read_square(path, self._size), self._paths)))


def read_square(path: Path, size: int) -> NDArray[np.uint8]:
    """Read an image as uint8 [size, size, 3], RGB, cropped as the service does with `detect=false`.

    Raises:
        DataError: The image cannot be read.
    """
    try:
        content = path.read_bytes()
        image = open_image(content, MAX_PIXELS)
        return resize_square(decode(image.data, image.header), size)
    except (OSError, RequestError) as error:
        raise DataError(f"{path}: {error}") from error


def resize_square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize an image uint8 [H, W, C] to a square, as the service does with `detect=false`."""
    whole = square_over(image.shape[1], image.shape[0])
    return crop(image, whole, size, CropGeometry()).reshape(size, size, image.shape[2])


def prefetch(items: Iterator[_Item], depth: int = 2) -> Iterator[_Item]:
    """Yield the items, produced ahead on another thread.

    Args:
        items: Source of items. Its exceptions are raised here.
        depth: Maximum number of items in the queue.
    """
    queue: Queue[tuple[_Item | None, BaseException | None]] = Queue(depth)

    def produce() -> None:
        try:
            for item in items:
                queue.put((item, None))
            queue.put((None, StopIteration()))
        except BaseException as error:
            queue.put((None, error))

    Thread(target=produce, daemon=True, name="prefetch").start()
    while True:
        item, error = queue.get()
        if isinstance(error, StopIteration):
            return
        if error is not None:
            raise error
        assert item is not None  # noqa: S101 (for the type checker)
        yield item
