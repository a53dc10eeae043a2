"""Boxes and items of the ISO base media file format, as still images use them (ISO/IEC 14496-12, 23008-12)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from fer_service.contract.errors import UndecodableImage

_MAX_BOXES: Final = 10_000
_TABLES: Final = (b"pitm", b"iinf", b"iloc", b"iref", b"iprp", b"idat")
_MAX_ENTRIES: Final = 20_000  # items, parts of items, references and properties of items

Range = tuple[int, int]


@dataclass
class Items:
    """The item boxes of a file.

    Attributes:
        primary: Identifier of the image.
        types: By item: type, and position of the type.
        extents: By item: begin and end of each part of its data.
        properties: Kind, begin and end of each property.
        associations: By item: numbers of its properties, from 1.
        tiles: By item: the items that it is made of.
        auxiliaries: Positions of the types of the references from auxiliary images, such as transparency.
        entries: Entries of all tables so far.
    """

    primary: int = 0
    types: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    extents: dict[int, list[Range]] = field(default_factory=dict)
    properties: list[tuple[bytes, int, int]] = field(default_factory=list)
    associations: dict[int, list[int]] = field(default_factory=dict)
    tiles: dict[int, list[int]] = field(default_factory=dict)
    auxiliaries: list[int] = field(default_factory=list)
    entries: int = 0

    def add_entries(self, count: int) -> None:
        """Count entries of tables.

        Raises:
            UndecodableImage: they are too many for an image.
        """
        self.entries += count
        if self.entries > _MAX_ENTRIES:
            raise UndecodableImage(f"the image file has more than {_MAX_ENTRIES:,} items, parts and references")

    def property(self, item: int, kind: bytes) -> Range | None:
        """Return where a property of an item is."""
        for number in self.associations.get(item, ()):
            if 1 <= number <= len(self.properties) and self.properties[number - 1][0] == kind:
                return self.properties[number - 1][1:]
        return None


def boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
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
                f"box {kind.decode('latin-1')!r} at byte {at:,} claims {size:,} bytes; {end - at:,} are left"
            )
        yield kind, start, at + size
        at += size
    raise UndecodableImage(f"the image file has more than {_MAX_BOXES:,} boxes")


def read_items(data: bytes, at: int, end: int) -> Items:
    """Read the content of a box meta from `at` to `end`.

    Raises:
        UndecodableImage: a length does not fit, or the tables are too long.
    """
    places: dict[bytes, Range] = {}
    for kind, start, stop in boxes(data, at + 4, end):
        if kind in places and kind in _TABLES:
            raise UndecodableImage(f"the image file has two boxes {kind.decode('ascii')}")
        places[kind] = start, stop
    items = Items()
    if b"pitm" in places:
        start = places[b"pitm"][0]
        (items.primary,) = struct.unpack_from(">I" if data[start] else ">H", data, start + 4)
    if b"iinf" in places:
        start, stop = places[b"iinf"]
        for _, inner, _ in boxes(data, start + (8 if data[start] else 6), stop):
            _add_type(data, inner, items)
    if b"iref" in places:
        start, stop = places[b"iref"]
        for kind, inner, inner_stop in boxes(data, start + 4, stop):
            _add_reference(data, kind, inner, inner_stop, bool(data[start]), items)
    if b"iprp" in places:
        _add_properties(data, *places[b"iprp"], items)
    if b"iloc" in places:
        _add_extents(data, places[b"iloc"][0], places.get(b"idat", (0, 0)), items)
    return items


def _add_properties(data: bytes, at: int, end: int, items: Items) -> None:
    for kind, start, stop in boxes(data, at, end):
        if kind == b"ipco" and not items.properties:
            items.properties.extend(boxes(data, start, stop))
        elif kind == b"ipma":
            _add_associations(data, start, items)


def _add_type(data: bytes, at: int, items: Items) -> None:
    version = data[at]
    if version >= 2:
        number = ">I" if version > 2 else ">H"
        (item,) = struct.unpack_from(number, data, at + 4)
        where = at + 4 + struct.calcsize(number) + 2
        items.types[item] = data[where : where + 4], where


def _add_reference(data: bytes, kind: bytes, at: int, end: int, large: bool, items: Items) -> None:
    number = ">I" if large else ">H"
    size = struct.calcsize(number)
    (source,) = struct.unpack_from(number, data, at)
    count = struct.unpack_from(">H", data, at + size)[0]
    if at + size + 2 + count * size > end:
        raise UndecodableImage("a reference claims items beyond its box")
    items.add_entries(count)
    targets = struct.unpack_from(f">{count}{number[1]}", data, at + size + 2)
    if kind == b"dimg":
        items.tiles.setdefault(source, []).extend(targets)
    elif kind == b"auxl":
        items.auxiliaries.append(data.rindex(kind, at - 16, at))


def _add_associations(data: bytes, at: int, items: Items) -> None:
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


def _add_extents(data: bytes, at: int, idat: Range, items: Items) -> None:
    version, sizes, more_sizes = data[at], data[at + 4], data[at + 5]
    widths = sizes >> 4, sizes & 15, more_sizes >> 4, more_sizes & 15 if version else 0
    if not {*widths} <= {0, 4, 8} or version > 2:
        raise UndecodableImage("the item locations have an unknown form")
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
        raise UndecodableImage("a box claims more entries than it has")
    return int.from_bytes(data[at : at + size], "big"), at + size
