"""JPEG (ITU-T T.81): frame, scans and orientation."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.contents import Contents, Layout
from fer_service.imaging.containers.ifd import exif_orientation

SIGNATURE: Final = b"\xff\xd8\xff"
MAX_SCANS: Final = 100  # encoders write about 10
_MAX_SEGMENTS: Final = 10_000
_QUICK_SCANS: Final = 20
_MARKER: Final = re.compile(rb"\xff[^\x00\xff]")
_MARKER_AFTER_SCAN: Final = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither a stuffed byte nor a restart
_RESTART: Final = re.compile(rb"\xff[\xd0-\xd7]")
_SOF0, _SOF2, _DHT, _JPG, _DAC, _SOI, _EOI, _SOS, _DRI, _APP1 = (
    *(0xC0, 0xC2, 0xC4, 0xC8, 0xCC, 0xD8, 0xD9, 0xDA, 0xDD, 0xE1),
)
_UNSUPPORTED: Final = {
    **dict.fromkeys((0xC3, 0xC7, 0xCB, 0xCF), "lossless"),
    **dict.fromkeys((0xC5, 0xC6, 0xCD, 0xCE), "hierarchical"),
    **dict.fromkeys((0xC9, 0xCA), "arithmetic"),
}


@dataclass(frozen=True)
class _Frame:
    """A start of frame.

    Attributes:
        progressive: Coefficients come in several scans.
        width: Pixels per row.
        height: Rows.
        components: By identifier: horizontal and vertical sampling factor.
    """

    progressive: bool
    width: int
    height: int
    components: dict[int, tuple[int, int]]

    def blocks(self, component: int) -> int:
        """Return the number of 8×8 blocks of a component."""
        across, down = self.components[component]
        most_across, most_down = self._most
        return -(-self.width * across // (8 * most_across)) * -(-self.height * down // (8 * most_down))

    @property
    def units(self) -> int:
        """Number of minimum coded units, of blocks of all components."""
        most_across, most_down = self._most
        return -(-self.width // (8 * most_across)) * -(-self.height // (8 * most_down))

    @property
    def coefficients(self) -> int:
        """Bytes of all coefficients, 2 each, with the blocks that fill up the last units."""
        return self.units * sum(across * down for across, down in self.components.values()) * 128

    @property
    def _most(self) -> tuple[int, int]:
        return max(across for across, _ in self.components.values()), max(
            down for _, down in self.components.values()
        )


@dataclass
class _Scans:
    """The scans so far.

    Attributes:
        count: How many.
        complete: Per component, the coefficients that have come in full precision, as bits.
        last: Components of the last one.
        start: Where the data of the last one begin.
    """

    count: int = 0
    complete: dict[int, int] = field(default_factory=dict)
    last: tuple[int, ...] = ()
    start: int = 0


def read_jpeg(data: bytes) -> Contents:
    """Check the segments of a JPEG file and count its scans.

    A file of several images, as some cameras write them, is its first image.

    Raises:
        UndecodableImage: a length does not fit, the scans are too many, or the kind of JPEG is not supported.
    """
    frame, scans, interval, metadata = None, _Scans(), 0, {b"Exif": b"", b"http": b""}
    for marker, segment, end in _segments(data):
        if marker == _SOS:
            _add_scan(scans, frame, segment)
            scans.start = end
            if frame and not frame.progressive and len(scans.last) == len(frame.components):
                break  # nothing follows the only scan; its megabytes need not be read
        elif _SOF0 <= marker <= 0xCF and marker not in (_DHT, _JPG, _DAC):
            if frame is not None:
                raise UndecodableImage("the JPEG image has two frames")
            frame = _frame(marker, segment)
        elif marker == _DRI:
            (interval,) = struct.unpack_from(">H", segment)
        elif marker == _APP1 and not scans.count and segment[:4] in metadata:
            metadata[segment[:4]] = metadata[segment[:4]] or segment
    if frame is None or not scans.count:
        raise UndecodableImage("the JPEG file ends before its image, or contains none")
    unterminated = data.rfind(b"\xff\xd9", scans.start) < 0
    if unterminated:
        _check_unterminated(data, frame, scans, interval)
    orientation = exif_orientation(metadata[b"Exif"], metadata[b"http"])
    return _contents(data, frame, scans.count, unterminated, orientation)


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield marker, content and end of each segment up to the end of the image; skip the data of scans."""
    at, in_scans = 2, False
    for _ in range(_MAX_SEGMENTS):
        found = (_MARKER_AFTER_SCAN if in_scans else _MARKER).search(data, at)
        if found is None:
            return
        marker, at = data[found.start() + 1], found.end()
        if marker == _EOI:
            return
        if marker == 0x01 or 0xD0 <= marker <= _SOI:  # markers without a segment
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            raise UndecodableImage(
                f"JPEG segment {marker:02X} at byte {at - 2:,} claims {length:,} bytes; {len(data) - at:,} follow"
            )
        yield marker, data[at + 2 : at + length], at + length
        at += length
        in_scans = in_scans or marker == _SOS
    raise UndecodableImage(f"the JPEG image has more than {_MAX_SEGMENTS:,} segments")


def _frame(marker: int, segment: bytes) -> _Frame:
    if marker in _UNSUPPORTED:
        raise UndecodableImage(
            f"{_UNSUPPORTED[marker]} JPEG is not supported; send it as baseline or progressive JPEG, or as PNG"
        )
    depth, height, width, count = struct.unpack_from(">BHHB", segment)
    if depth != 8:
        raise UndecodableImage(f"JPEG with {depth} bits per sample is not supported; send 8 bits")
    components = {
        number: (sampling >> 4, sampling & 15)
        for number, sampling, _ in struct.iter_unpack("BBB", segment[6 : 6 + 3 * count])
    }
    if not width or not height or count not in (1, 3, 4) or len(components) != count:
        raise UndecodableImage(f"the JPEG frame claims {width}×{height} pixels of {count} components")
    if not all(1 <= factor <= 4 for factors in components.values() for factor in factors):
        raise UndecodableImage("the JPEG frame has invalid sampling factors")
    return _Frame(marker == _SOF2, width, height, components)


def _add_scan(scans: _Scans, frame: _Frame | None, segment: bytes) -> None:
    count = segment[0]
    last = tuple(segment[1 : 1 + 2 * count : 2])
    first, final, precision = struct.unpack_from("BBB", segment, 1 + 2 * count)
    if frame is None or not last or not set(last) <= set(frame.components):
        raise UndecodableImage("a JPEG scan is of no component of the frame")
    scans.count, scans.last = scans.count + 1, last
    if scans.count > MAX_SCANS:
        raise UndecodableImage(f"the JPEG image has more than {MAX_SCANS} scans; send it as baseline JPEG")
    if not frame.progressive:
        first, final, precision = 0, 63, 0
    if precision & 15 == 0:
        for component in last:
            scans.complete[component] = scans.complete.get(component, 0) | (2 << final) - (1 << first)


def _check_unterminated(data: bytes, frame: _Frame, scans: _Scans, interval: int) -> None:
    """Refuse a file that ends before its last scan, or before the last restart of that scan."""
    if any(scans.complete.get(component) != 2**64 - 1 for component in frame.components):
        raise UndecodableImage("the JPEG image is truncated: scans are missing")
    if not interval:
        return
    units = frame.blocks(scans.last[0]) if len(scans.last) == 1 else frame.units
    if sum(1 for _ in _RESTART.finditer(data, scans.start)) < (units - 1) // interval:
        raise UndecodableImage("the JPEG image is truncated: restart markers are missing")


def _contents(data: bytes, frame: _Frame, scans: int, unterminated: bool, orientation: int) -> Contents:
    several = scans > 1 or frame.progressive
    detail = f"progressive, {scans} scans" if frame.progressive else f"{scans} scans" if several else "baseline"
    return Contents(
        layout=Layout.JPEG,
        width=frame.width,
        height=frame.height,
        data=data,
        detail=detail + (", CMYK" if len(frame.components) == 4 else ""),
        orientation=orientation,
        buffers=frame.coefficients * several,
        slow=scans > _QUICK_SCANS or len(frame.components) == 4,
        unterminated=unterminated,
    )
