"""Images of data sets that do not fit in memory, decoded on demand."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TypeVar, cast

import numpy as np
from fer_service.contract.bundle import CropGeometry
from fer_service.contract.errors import RequestError, TooManyPixels
from fer_service.imaging.crop import crop, square_over
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image
from fer_service.system.cores import available_cores
from numpy.typing import NDArray

from fer_training.data.names import readable
from fer_training.errors import DataError

MAX_PIXELS = 100_000_000
Corners = tuple[int, int, int, int]
_LARGE_BYTES = 200_000_000
_one_large_image = Lock()
_Item = TypeVar("_Item")


class FileImages:
    """A lazy array uint8 [N, S, S, 3] of image files.

    An integer index reads an image. A mask, a slice or an index array selects files without reading them.
    """

    def __init__(self, paths: Sequence[Path], size: int, boxes: Sequence[Corners | None] | None = None) -> None:
        """Store the paths.

        Args:
            paths: N image files that can be decoded.
            size: Side in pixels to which each image is resized.
            boxes: Face of each image as left, top, right, bottom in pixels; None takes whole images.
        """
        self._paths: NDArray[np.object_] = np.array(paths, object)
        self._boxes: NDArray[np.object_] = np.empty(len(paths), object)
        if boxes is not None:
            self._boxes[:] = boxes
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
        return (self._read(row) for row in range(len(self)))

    def __getitem__(self, key: int | slice | NDArray[np.generic]) -> "NDArray[np.uint8] | FileImages":
        if isinstance(key, int | np.integer):
            return self._read(int(key))
        return FileImages(list(self._paths[key]), self._size, list(self._boxes[key]))

    def load(self) -> NDArray[np.uint8]:
        """Read all images in parallel threads, uint8 [N, S, S, 3]."""
        if not len(self):
            return np.empty(self.shape, np.uint8)
        with ThreadPoolExecutor(available_cores()) as pool:
            return np.stack(list(pool.map(self._read, range(len(self)))))

    def _read(self, row: int) -> NDArray[np.uint8]:
        return read_square(self._paths[row], self._size, self._boxes[row])


def read_square(path: Path, size: int, box: Corners | None = None) -> NDArray[np.uint8]:
    """Read an image as uint8 [size, size, 3], RGB, cropped as the service does with `detect=false`.

    Args:
        path: Image file. Its content decides the format, not its name.
        size: Side of the square in pixels.
        box: Face as left, top, right, bottom in pixels; None takes the whole image.

    Raises:
        DataError: The image cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{readable(str(path))}: {error.strerror or error}") from error
    return decode_square(content, size, readable(str(path)), box)


def decode_square(content: bytes, size: int, name: str, box: Corners | None = None) -> NDArray[np.uint8]:
    """Decode an image file to uint8 [size, size, 3], RGB (see `read_square`).

    Args:
        content: The whole file.
        size: Side of the square in pixels.
        name: Name of the image in error messages.
        box: Face as left, top, right, bottom in pixels; None takes the whole image.

    Raises:
        DataError: The image cannot be decoded, has more than `MAX_PIXELS` pixels, or the box is outside.
    """
    try:
        image = open_image(content, MAX_PIXELS)
        if image.header.memory > _LARGE_BYTES:
            with _one_large_image:
                pixels = decode(image.data, image.header)
        else:
            pixels = decode(image.data, image.header)
    except TooManyPixels as error:
        raise DataError(
            f"{name}: {str(error).removesuffix(' (FER_MAX_IMAGE_PIXELS)')}; make it smaller"
        ) from error
    except RequestError as error:
        raise DataError(f"{name}: {error}") from error
    return resize_square(pixels if box is None else _boxed(pixels, box, name), size)


def _boxed(pixels: NDArray[np.uint8], box: Corners, name: str) -> NDArray[np.uint8]:
    """Return the part of the image that a box covers."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = box
    if not (0 <= left < right and 0 <= top < bottom and left < width and top < height):
        raise DataError(f"{name}: the face {box} is outside of the image of {width}×{height}")
    return np.ascontiguousarray(pixels[top:bottom, left:right])


def resize_square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize an image uint8 [H, W, C] to a square, as the service does with `detect=false`."""
    whole = square_over(image.shape[1], image.shape[0])
    return crop(image, whole, size, CropGeometry()).reshape(size, size, image.shape[2])


def prefetch(items: Iterator[_Item], depth: int = 2) -> Iterator[_Item]:
    """Yield the items, produced ahead on another thread.

    Args:
        items: Source of items. Its exceptions are raised here.
        depth: Number of items that are produced ahead.
    """
    end = object()
    with ThreadPoolExecutor(1, "prefetch") as pool:
        ahead = deque(pool.submit(next, items, end) for _ in range(depth))
        try:
            while (item := ahead.popleft().result()) is not end:
                ahead.append(pool.submit(next, items, end))
                yield cast(_Item, item)
        finally:
            for left in ahead:
                left.cancel()
