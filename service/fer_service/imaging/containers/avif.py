"""AVIF (AV1 Image File Format): the image and its tiles, and the sizes that they claim."""

import struct
from typing import Final

from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.av1 import coded_size
from fer_service.imaging.containers.contents import Contents, Layout
from fer_service.imaging.containers.isobmff import Items, boxes, read_items

_BRANDS: Final = {b"avif", b"avis"}
_MAX_TILES: Final = 2_000
_DECODER_BYTES: Final = 8_000_000  # that an AV1 decoder takes for the smallest image
_METADATA: Final = (b"Exif", b"mime")
# EXIF's orientation for the steps of 90° anticlockwise of irot, then without imir, with axis 0, with axis 1.
_ORIENTATIONS: Final = ((1, 4, 2), (8, 5, 7), (3, 2, 4), (6, 7, 5))


def is_avif(data: bytes) -> bool:
    """Return whether the file begins with the brands of AVIF."""
    size = int.from_bytes(data[:4], "big")
    brands = data[8 : min(size, 1024)]
    return data[4:8] == b"ftyp" and bool(_BRANDS & {brands[at : at + 4] for at in range(0, len(brands), 4)})


def read_avif(data: bytes) -> Contents:
    """Check the boxes of an AVIF file: every part is there, and the sizes agree with those of the AV1 data.

    An image sequence becomes its still image. EXIF, XMP and transparency are left out. The image's own properties
    have the orientation.

    Raises:
        UndecodableImage: a length does not fit, or sizes contradict each other.
    """
    meta = next((place for kind, *place in boxes(data, 0, len(data)) if kind == b"meta"), None)
    if meta is None:
        raise UndecodableImage("the AVIF file has no still image; send the first frame of a sequence")
    items = read_items(data, *meta)
    width, height = _check_image(data, items, items.primary)
    tiles = len(items.tiles.get(items.primary, ()))
    return Contents(
        Layout.AVIF_DEEP if _depth(data, items) > 8 else Layout.AVIF,
        width,
        height,
        _alone(data, items),
        f"{tiles} tiles" if tiles else "",
        _orientation(data, items),
        buffers=_DECODER_BYTES,
        slow=True,
    )


def _check_image(data: bytes, items: Items, item: int, tile: bool = False) -> tuple[int, int]:
    """Check an item and its tiles; return its width and height."""
    kind = items.types.get(item, (b"", 0))[0]
    size, extents = items.property(item, b"ispe"), items.extents.get(item, [])
    if size is None or not extents or any(end < begin for begin, end in extents):
        raise UndecodableImage("the AVIF image is truncated: data of an item are missing")
    width, height = struct.unpack_from(">II", data, size[0] + 4)
    if kind == b"av01":
        begin, end = extents[0]
        coded = coded_size(data[begin : min(end, begin + 1024)])
        if coded != (width, height):
            raise UndecodableImage(
                f"the AVIF image claims {width}×{height} pixels, its AV1 data {coded[0]}×{coded[1]}"
            )
    elif kind == b"grid" and not tile:
        _check_grid(data, items, item, (width, height))
    else:
        raise UndecodableImage(
            f"an AVIF image of type {kind.decode('latin-1')!r} is not supported; send JPEG or PNG"
        )
    return width, height


def _check_grid(data: bytes, items: Items, item: int, size: tuple[int, int]) -> None:
    begin = items.extents[item][0][0]
    flags, rows, columns = data[begin + 1], data[begin + 2] + 1, data[begin + 3] + 1
    if struct.unpack_from(">II" if flags & 1 else ">HH", data, begin + 4) != size:
        raise UndecodableImage("the grid of the AVIF image has another size than the image")
    tiles = items.tiles.get(item, [])
    if len(tiles) != rows * columns or len(tiles) > _MAX_TILES:
        raise UndecodableImage(f"the AVIF image of {columns}×{rows} tiles has {len(tiles)}, or too many")
    sides = {_check_image(data, items, tile, tile=True) for tile in tiles}
    if len(sides) != 1:
        raise UndecodableImage("the tiles of the AVIF image have several sizes")
    across, down = sides.pop()
    if not (0 <= across * columns - size[0] < across and 0 <= down * rows - size[1] < down):
        raise UndecodableImage(f"{columns}×{rows} tiles of {across}×{down} pixels do not fit {size[0]}×{size[1]}")


def _depth(data: bytes, items: Items) -> int:
    """Return the bits per sample of the image, or of its first tile."""
    item = next(iter(items.tiles.get(items.primary, ())), items.primary)
    place = items.property(item, b"av1C")
    if place is None:
        raise UndecodableImage("the AVIF image has no AV1 configuration")
    flags = data[place[0] + 2]
    return 8 if not flags & 64 else 12 if flags & 32 else 10


def _orientation(data: bytes, items: Items) -> int:
    turn, mirror = (items.property(items.primary, kind) for kind in (b"irot", b"imir"))
    steps = data[turn[0]] & 3 if turn else 0
    return _ORIENTATIONS[steps][1 + (data[mirror[0]] & 1) if mirror else 0]


def _alone(data: bytes, items: Items) -> bytes:
    """Return the file as a still image without metadata and transparency; all bytes stay where they are."""
    cut = bytearray(data)
    hidden = [where for kind, where in items.types.values() if kind in _METADATA] + items.auxiliaries
    for where in hidden:
        cut[where : where + 4] = b"skip"
    cut[8:12] = b"avif"
    return bytes(cut)
