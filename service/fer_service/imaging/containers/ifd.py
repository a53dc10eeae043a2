"""Image file directories of TIFF (TIFF 6.0, section 2; BigTIFF), which EXIF uses too."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fer_service.contract.errors import UndecodableImage

ORIENTATION: Final = 0x0112
# The types of integers. Decoders read signed ones too, so a negative value must not be taken for a missing tag.
_INTEGERS: Final = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
SIZES: Final = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)  # bytes per value of each type
_XMP_ORIENTATION: Final = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')


@dataclass(frozen=True)
class Directory:
    """The entries of an image file directory.

    Attributes:
        data: The whole TIFF file.
        order: "<" or ">", as in `struct`.
        entries: By tag: type, number of values, and position of the first value.
        count: Number of entries in the file.
        next_at: Position of the offset of the next directory.
    """

    data: bytes
    order: str
    entries: dict[int, tuple[int, int, int]]
    count: int
    next_at: int

    def check(self, tag: int, limit: int) -> None:
        """Check the number of values of a tag and where they end.

        Raises:
            UndecodableImage: they are more than `limit`, or end beyond the file.
        """
        kind, count, at = self.entries[tag]
        if count > limit:
            raise UndecodableImage(f"TIFF tag {tag} has {count:,} values; at most {limit:,} make sense")
        if at + count * SIZES[kind] > len(self.data):
            raise UndecodableImage(f"TIFF tag {tag} claims {count:,} values, which end beyond the file")

    def values(self, tag: int, limit: int) -> tuple[int, ...]:
        """Return the unsigned integers of a tag; empty if it is missing or of another type.

        Raises:
            UndecodableImage: they are more than `limit`, or end beyond the file.
        """
        kind, count, at = self.entries.get(tag, (0, 0, 0))
        if kind not in _INTEGERS:
            return ()
        self.check(tag, limit)
        return struct.unpack_from(f"{self.order}{count}{_INTEGERS[kind]}", self.data, at)

    def value(self, tag: int, default: int) -> int:
        """Return the first value of a tag."""
        return next(iter(self.values(tag, 2**16)), default)


def read_directory(data: bytes) -> Directory:
    """Read the first directory of a TIFF file or an EXIF block.

    Raises:
        UndecodableImage: the header or the directory does not fit the bytes that are there.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        raise UndecodableImage("the TIFF header is damaged")
    (version,) = struct.unpack_from(order + "H", data, 2)
    if version == 43:
        entry, inline, header, number = "HHQ8s", 8, 16, "Q"
    else:
        entry, inline, header, number = "HHI4s", 4, 8, "I"
    at = (
        struct.unpack_from(order + number, data, header - struct.calcsize(number))[0] if len(data) >= header else 0
    )
    count_format = order + ("Q" if version == 43 else "H")
    first = at + struct.calcsize(count_format)
    if at < header or first > len(data):
        raise UndecodableImage(f"the TIFF directory should be at byte {at:,}; the file has {len(data):,} bytes")
    (count,) = struct.unpack_from(count_format, data, at)
    size = struct.calcsize(order + entry)
    next_at = first + count * size
    if next_at > len(data):
        raise UndecodableImage(f"the TIFF directory claims {count:,} entries, which end beyond the file")
    entries = dict(_entries(data, first, next_at, order + entry, inline))
    return Directory(data, order, entries, count, next_at)


def _entries(
    data: bytes, first: int, end: int, layout: str, inline: int
) -> Iterator[tuple[int, tuple[int, int, int]]]:
    seen: set[int] = set()
    size = struct.calcsize(layout)
    offset = layout[0] + ("Q" if inline == 8 else "I")
    for at, (tag, kind, count, field) in zip(
        range(first, end, size), struct.iter_unpack(layout, data[first:end]), strict=True
    ):
        if tag in seen or kind >= len(SIZES):  # readers take the first of equal tags
            continue
        seen.add(tag)
        fits = count * SIZES[kind] <= inline
        yield tag, (kind, count, at + size - inline if fits else struct.unpack(offset, field)[0])


def exif_orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Return the orientation of EXIF data, 1 to 8; of XMP data if EXIF has none; else 1.

    Damaged metadata has no orientation. It never refuses an image.

    Args:
        exif: EXIF data, with or without the prefix of JPEG.
        xmp: XMP packet.
    """
    try:
        value = read_directory(exif.removeprefix(b"Exif\0\0")).value(ORIENTATION, 0)
    except (UndecodableImage, struct.error):
        value = 0
    if value == 0 and (found := _XMP_ORIENTATION.search(xmp)):
        value = int(found[1])
    return value if 1 <= value <= 8 else 1
