"""Still images in HEIF (ISO/IEC 23008-12): one coded image, or a grid of tiles. AVIF and HEIC are such files."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.isobmff import Items, boxes, read_items

_MAX_TILES: Final = 2_000
_METADATA: Final = (b"Exif", b"mime")


@dataclass(frozen=True)
class Coding:
    """Coding of the items of a format.

    Attributes:
        name: Name of the format.
        item: Type of its coded items.
        check_size: Raises UndecodableImage if an item's own data claim another size than this width and height.
    """

    name: str
    item: bytes
    check_size: Callable[[bytes, Items, int, tuple[int, int]], None]


@dataclass(frozen=True)
class StillImage:
    """A still image whose every part is there.

    Attributes:
        items: The item boxes of its file.
        width: Width in pixels, before the image is turned.
        height: Height likewise.
        tiles: Number of its tiles; 0 for one coded image.
    """

    items: Items
    width: int
    height: int
    tiles: int

    @property
    def coded(self) -> int:
        """The item that holds the image, or its first tile."""
        return next(iter(self.items.tiles.get(self.items.primary, ())), self.items.primary)


def brands(data: bytes) -> frozenset[bytes]:
    """Return the brands of a file, none if it has no box ftyp at its begin."""
    if data[4:8] != b"ftyp":
        return frozenset()
    found = data[8 : min(int.from_bytes(data[:4], "big"), 1024)]
    return frozenset(found[at : at + 4] for at in range(0, len(found), 4))


def read_still_image(data: bytes, coding: Coding) -> StillImage:
    """Check the boxes of a file: every part of its image is there, and the sizes agree with the coded data.

    Raises:
        UndecodableImage: a length does not fit, or sizes contradict each other.
    """
    meta = next((place for kind, *place in boxes(data, 0, len(data)) if kind == b"meta"), None)
    if meta is None:
        raise UndecodableImage(f"the {coding.name} file has no still image; send the first frame of a sequence")
    items = read_items(data, *meta)
    width, height = _check_item(data, items, items.primary, coding)
    return StillImage(items, width, height, len(items.tiles.get(items.primary, ())))


def without_extras(data: bytes, items: Items) -> bytearray:
    """Return the file without metadata and auxiliary images (transparency); all bytes stay where they are."""
    cut = bytearray(data)
    hidden = [where for kind, where in items.types.values() if kind in _METADATA] + items.auxiliaries
    for where in hidden:
        cut[where : where + 4] = b"skip"
    return cut


def _check_item(data: bytes, items: Items, item: int, coding: Coding, tile: bool = False) -> tuple[int, int]:
    """Check an item and its tiles; return its width and height."""
    kind = items.types.get(item, (b"", 0))[0]
    size, extents = items.property(item, b"ispe"), items.extents.get(item, [])
    if size is None or not extents or any(end < begin for begin, end in extents):
        raise UndecodableImage(f"the {coding.name} image is truncated: data of an item are missing")
    width, height = struct.unpack_from(">II", data, size[0] + 4)
    if kind == coding.item:
        coding.check_size(data, items, item, (width, height))
    elif kind == b"grid" and not tile:
        _check_grid(data, items, item, (width, height), coding)
    else:
        name = kind.decode("latin-1")
        raise UndecodableImage(f"the {coding.name} image has the unsupported type {name!r}; send JPEG or PNG")
    return width, height


def _check_grid(data: bytes, items: Items, item: int, size: tuple[int, int], coding: Coding) -> None:
    begin = items.extents[item][0][0]
    flags, rows, columns = data[begin + 1], data[begin + 2] + 1, data[begin + 3] + 1
    if struct.unpack_from(">II" if flags & 1 else ">HH", data, begin + 4) != size:
        raise UndecodableImage(f"the grid of the {coding.name} image has another size than the image")
    tiles = items.tiles.get(item, [])
    if len(tiles) != rows * columns or len(tiles) > _MAX_TILES:
        raise UndecodableImage(
            f"the {coding.name} image of {columns}×{rows} tiles has {len(tiles)} of them; the maximum is "
            f"{_MAX_TILES}"
        )
    sides = {_check_item(data, items, tile, coding, tile=True) for tile in tiles}
    if len(sides) != 1:
        raise UndecodableImage(f"the tiles of the {coding.name} image have several sizes")
    across, down = sides.pop()
    if not (0 <= across * columns - size[0] < across and 0 <= down * rows - size[1] < down):
        raise UndecodableImage(f"{columns}×{rows} tiles of {across}×{down} pixels do not fit {size[0]}×{size[1]}")
