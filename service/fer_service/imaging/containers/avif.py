"""AVIF (AV1 Image File Format; HEIF, ISO/IEC 23008-12): boxes, items and their sizes."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.av1 import coded_size
from fer_service.imaging.containers.contents import Contents, Layout

_BRANDS: Final = {b"avif", b"avis"}
_MAX_BOXES: Final = 10_000
_MAX_ENTRIES: Final = 20_000  # items, parts of items, references and properties of items
_MAX_TILES: Final = 2_000
_DECODER_BYTES: Final = 8_000_000  # that an AV1 decoder takes for the smallest image
_TABLES: Final = (b"pitm", b"iinf", b"iloc", b"iref", b"iprp", b"idat")
_METADATA: Final = (b"Exif", b"mime")
_ALPHA: Final = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
# EXIF's orientation for the steps of 90° anticlockwise of irot, then without imir, with axis 0, with axis 1.
_ORIENTATIONS: Final = ((1, 4, 2), (8, 5, 7), (3, 2, 4), (6, 7, 5))

_Range = tuple[int, int]


@dataclass
class _Items:
    """The item boxes of a file.

    Attributes:
        primary: Identifier of the image.
        types: By item: type, and position of the type.
        extents: By item: begin and end of each part of its data.
        properties: Kind, begin and end of each property.
        associations: By item: numbers of its properties, from 1.
        tiles: By item: the items that it is made of.
        auxiliaries: By item: the items that belong to it.
        entries: Entries of all tables so far.
    """

    primary: int = 0
    types: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    extents: dict[int, list[_Range]] = field(default_factory=dict)
    properties: list[tuple[bytes, int, int]] = field(default_factory=list)
    associations: dict[int, list[int]] = field(default_factory=dict)
    tiles: dict[int, list[int]] = field(default_factory=dict)
    auxiliaries: dict[int, list[int]] = field(default_factory=dict)
    entries: int = 0

    def add_entries(self, count: int) -> None:
        """Count entries of tables.

        Raises:
            UndecodableImage: they are too many for an image.
        """
        self.entries += count
        if self.entries > _MAX_ENTRIES:
            raise UndecodableImage(f"the AVIF file has more than {_MAX_ENTRIES:,} items, parts and references")

    def property(self, item: int, kind: bytes) -> _Range | None:
        """Return where a property of an item is."""
        for number in self.associations.get(item, ()):
            if 1 <= number <= len(self.properties) and self.properties[number - 1][0] == kind:
                return self.properties[number - 1][1:]
        return None


def is_avif(data: bytes) -> bool:
    """Return whether the file begins with the brands of AVIF."""
    size = int.from_bytes(data[:4], "big")
    brands = data[8 : min(size, 1024)]
    return data[4:8] == b"ftyp" and bool(_BRANDS & {brands[at : at + 4] for at in range(0, len(brands), 4)})


def read_avif(data: bytes) -> Contents:
    """Check the boxes of an AVIF file: every part is there, and the sizes agree with those of the AV1 data.

    An image sequence becomes its still image. EXIF and XMP are left out; orientation is that of the item.

    Raises:
        UndecodableImage: a length does not fit, or sizes contradict each other.
    """
    meta = next((place for kind, *place in _boxes(data, 0, len(data)) if kind == b"meta"), None)
    if meta is None:
        raise UndecodableImage("the AVIF file has no still image; send the first frame of a sequence")
    items = _items(data, meta[0] + 4, meta[1])
    width, height = _check_image(data, items, items.primary)
    deep = _depth(data, items) > 8
    alpha = [item for item in items.auxiliaries.get(items.primary, ()) if _is_alpha(data, items, item)]
    for item in alpha:
        if _check_image(data, items, item) != (width, height):
            raise UndecodableImage("the transparency of the AVIF image has another size")
    layouts = (Layout.AVIF, Layout.AVIF_DEEP), (Layout.AVIF_ALPHA, Layout.AVIF_DEEP_ALPHA)
    tiles = len(items.tiles.get(items.primary, ()))
    return Contents(
        layouts[bool(alpha)][deep],
        width,
        height,
        _without_metadata(data, items),
        f"{tiles} tiles" if tiles else "",
        _orientation(data, items),
        buffers=_DECODER_BYTES,
        slow=True,
    )


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, begin and end of the content of each box."""
    for _ in range(_MAX_BOXES):
        if at + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        elif size == 0:
            size = end - at
        if at + size > end or start > at + size:
            raise UndecodableImage(
                f"AVIF box {kind!r:.12} at byte {at:,} claims {size:,} bytes; {end - at:,} are left"
            )
        yield kind, start, at + size
        at += size
    raise UndecodableImage(f"the AVIF file has more than {_MAX_BOXES:,} boxes")


def _items(data: bytes, at: int, end: int) -> _Items:
    items, locations, idat, seen = _Items(), None, (0, 0), set()
    for kind, start, stop in _boxes(data, at, end):
        if kind in seen and kind in _TABLES:
            raise UndecodableImage(f"the AVIF file has two boxes {kind.decode('ascii')}")
        seen.add(kind)
        version = data[start] if start < stop else 0
        if kind == b"pitm":
            (items.primary,) = struct.unpack_from(">I" if version else ">H", data, start + 4)
        elif kind == b"iinf":
            for _, inner, _ in _boxes(data, start + (8 if version else 6), stop):
                _add_type(data, inner, items)
        elif kind == b"iloc":
            locations = start
        elif kind == b"idat":
            idat = start, stop
        elif kind == b"iref":
            for name, inner, inner_stop in _boxes(data, start + 4, stop):
                _add_reference(data, name, inner, inner_stop, bool(version), items)
        elif kind == b"iprp":
            for name, inner, inner_stop in _boxes(data, start, stop):
                if name == b"ipco":
                    items.properties.extend(_boxes(data, inner, inner_stop))
                elif name == b"ipma":
                    _add_associations(data, inner, items)
    if locations is not None:
        _add_extents(data, locations, idat, items)
    return items


def _add_type(data: bytes, at: int, items: _Items) -> None:
    version = data[at]
    if version >= 2:
        number = ">I" if version > 2 else ">H"
        (item,) = struct.unpack_from(number, data, at + 4)
        where = at + 4 + struct.calcsize(number) + 2
        items.types[item] = data[where : where + 4], where


def _add_reference(data: bytes, kind: bytes, at: int, end: int, large: bool, items: _Items) -> None:
    number = ">I" if large else ">H"
    size = struct.calcsize(number)
    (source,) = struct.unpack_from(number, data, at)
    count = struct.unpack_from(">H", data, at + size)[0]
    if at + size + 2 + count * size > end:
        raise UndecodableImage("an AVIF reference claims items beyond its box")
    items.add_entries(count)
    targets = struct.unpack_from(f">{count}{number[1]}", data, at + size + 2)
    if kind == b"dimg":
        items.tiles.setdefault(source, []).extend(targets)
    elif kind == b"auxl":
        for target in targets:
            items.auxiliaries.setdefault(target, []).append(source)


def _add_associations(data: bytes, at: int, items: _Items) -> None:
    version, flags = data[at], data[at + 3]
    (count,) = struct.unpack_from(">I", data, at + 4)
    at += 8
    items.add_entries(count)
    for _ in range(count):
        item, properties = struct.unpack_from(">IB" if version else ">HB", data, at)
        at += 5 if version else 3
        wide = flags & 1
        numbers = struct.unpack_from(f">{properties}{'H' if wide else 'B'}", data, at)
        at += properties * (2 if wide else 1)
        items.associations.setdefault(item, []).extend(number & (0x7FFF if wide else 0x7F) for number in numbers)


def _add_extents(data: bytes, at: int, idat: _Range, items: _Items) -> None:
    version, sizes, more_sizes = data[at], data[at + 4], data[at + 5]
    widths = sizes >> 4, sizes & 15, more_sizes >> 4, more_sizes & 15 if version else 0
    if not {*widths} <= {0, 4, 8} or version > 2:
        raise UndecodableImage("the AVIF item locations have an unknown form")
    number = 4 if version == 2 else 2
    count, at = _integer(data, at + 6, number)
    items.add_entries(count)
    for _ in range(count):
        item, at = _integer(data, at, number)
        method, at = _integer(data, at, 2 if version else 0)
        base, at = _integer(data, at + 2, widths[2])
        extents, at = _integer(data, at, 2)
        items.add_entries(extents)
        parts = items.extents.setdefault(item, [])
        for _ in range(extents):
            offset, at = _integer(data, at + widths[3], widths[0])
            length, at = _integer(data, at, widths[1])
            begin, end = (idat if method & 15 == 1 else (0, len(data))) if method & 15 < 2 else (0, 0)
            begin += base + offset
            parts.append((begin, begin + length if length else end) if begin + length <= end else (0, -1))


def _integer(data: bytes, at: int, size: int) -> tuple[int, int]:
    if at + size > len(data):
        raise UndecodableImage("an AVIF box claims more entries than it has")
    return int.from_bytes(data[at : at + size], "big"), at + size


def _check_image(data: bytes, items: _Items, item: int, tile: bool = False) -> tuple[int, int]:
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


def _check_grid(data: bytes, items: _Items, item: int, size: tuple[int, int]) -> None:
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


def _depth(data: bytes, items: _Items) -> int:
    """Return the bits per sample of the image, or of its first tile."""
    item = next(iter(items.tiles.get(items.primary, ())), items.primary)
    place = items.property(item, b"av1C")
    if place is None:
        raise UndecodableImage("the AVIF image has no AV1 configuration")
    flags = data[place[0] + 2]
    return 8 if not flags & 64 else 12 if flags & 32 else 10


def _is_alpha(data: bytes, items: _Items, item: int) -> bool:
    place = items.property(item, b"auxC")
    return place is not None and data[place[0] + 4 : place[1]].rstrip(b"\0") in _ALPHA


def _orientation(data: bytes, items: _Items) -> int:
    turn, mirror = (items.property(items.primary, kind) for kind in (b"irot", b"imir"))
    steps = data[turn[0]] & 3 if turn else 0
    return _ORIENTATIONS[steps][1 + (data[mirror[0]] & 1) if mirror else 0]


def _without_metadata(data: bytes, items: _Items) -> bytes:
    """Return the file as a still image whose metadata no decoder reads; all bytes stay where they are."""
    cut = bytearray(data)
    for kind, where in items.types.values():
        if kind in _METADATA:
            cut[where : where + 4] = b"skip"
    cut[8:12] = b"avif"
    return bytes(cut)
