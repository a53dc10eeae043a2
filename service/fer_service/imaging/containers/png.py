"""PNG (W3C PNG Specification, Third Edition): chunks, header and orientation."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.contents import Contents, Layout
from fer_service.imaging.containers.ifd import exif_orientation

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS: Final = 100_000
_END: Final = b"\0\0\0\0IEND\xaeB`\x82"
_COLOURS: Final = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with transparency", 6: "RGBA"}
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Deflated data may go on after the last pixel. A decoder inflates them, to 1,000 times as many bytes at 330 MB/s.
# An encoder needs at most some per mille more bytes than the pixels have.
_SLACK: Final = 2**16
_QUICK_BYTES: Final = 2**19


@dataclass(frozen=True)
class _Header:
    """The header chunk IHDR."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    @property
    def raw_bytes(self) -> int:
        """Bytes that the pixel data may inflate to, with the filter bytes of seven passes."""
        bits = self.depth * _CHANNELS[self.colour]
        return -(-self.width * self.height * bits // 8) + 16 * (self.width + self.height)


def read_png(data: bytes) -> Contents:
    """Check the chunks of a PNG file, and leave out those that its pixels do not need.

    An animation becomes its default image. A colour profile, text, or damage after the pixels refuses no image. A
    missing end chunk is added.

    Raises:
        UndecodableImage: a length does not fit, or the header is invalid.
    """
    header, exif, pixels = None, b"", 0
    kept, ended = [(0, len(SIGNATURE))], False
    for kind, start, end in _chunks(data):
        if (kind == b"IHDR") != (header is None):
            apple = "; Xcode wrote it for iOS: send the original" if kind == b"CgBI" else ""
            raise UndecodableImage(f"the PNG image does not begin with its one header{apple}")
        if kind == b"IHDR":
            header = _header(data[start + 8 : end - 4])
        elif kind == b"eXIf" and not pixels:
            exif = exif or data[start + 8 : end - 4]
        pixels += (end - start - 12) * (kind == b"IDAT")
        ended = kind == b"IEND"
        if not kind[0] & 32 or kind == b"tRNS":  # lower case: not needed for the pixels
            if kept[-1][1] == start:
                kept[-1] = kept[-1][0], end
            else:
                kept.append((start, end))
    if header is None or not pixels:
        raise UndecodableImage("the PNG image has no pixels")
    if pixels > header.raw_bytes + _SLACK + header.raw_bytes // 64:
        raise UndecodableImage(
            f"the PNG image has {pixels:,} bytes of pixel data; {header.raw_bytes:,} are enough"
        )
    return _contents(header, pixels, _joined(data, kept, ended), exif_orientation(exif) if exif else 1)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, begin and end of each chunk up to IEND, or up to a damaged chunk after the pixels."""
    at, pixels = len(SIGNATURE), False
    for _ in range(_MAX_CHUNKS):
        if at >= len(data) or (pixels and at + 12 > len(data)):
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            if pixels and kind != b"IDAT":
                return
            raise UndecodableImage(
                f"PNG chunk {kind.decode('latin-1')!r} at byte {at:,} claims {length:,} bytes; "
                f"{max(len(data) - at - 12, 0):,} follow. If the file was cut off, send all of it"
            )
        yield kind, at, end
        if kind == b"IEND":
            return
        pixels = pixels or kind == b"IDAT"
        at = end
    raise UndecodableImage(f"the PNG image has more than {_MAX_CHUNKS:,} chunks")


def _header(content: bytes) -> _Header:
    if len(content) != 13:
        raise UndecodableImage(f"the PNG header has {len(content)} bytes, not 13")
    width, height, depth, colour, compression, filters, interlaced = struct.unpack(">IIBBBBB", content)
    if not (0 < width < 2**31 and 0 < height < 2**31 and depth in _DEPTHS.get(colour, ())):
        raise UndecodableImage(f"the PNG header claims {width}×{height} pixels, type {colour}, {depth} bits")
    if compression or filters or interlaced > 1:
        raise UndecodableImage("the PNG header names an unknown compression, filter or interlacing")
    return _Header(width, height, depth, colour, interlaced == 1)


def _joined(data: bytes, kept: list[tuple[int, int]], ended: bool) -> bytes:
    if ended and kept == [(0, len(data))]:
        return data
    view = memoryview(data)
    return b"".join((*(view[start:end] for start, end in kept), b"" if ended else _END))


def _contents(header: _Header, pixels: int, data: bytes, orientation: int) -> Contents:
    words = [f"{header.depth}-bit {_COLOURS[header.colour]}"] + ["interlaced"] * header.interlaced
    return Contents(
        layout=Layout.PNG,
        width=header.width,
        height=header.height,
        data=data,
        detail=", ".join(words),
        orientation=orientation,
        slow=header.interlaced or header.depth == 16 or pixels > _QUICK_BYTES,
        sixteen_bits=header.depth == 16,
    )
