"""TIFF (TIFF 6.0, BigTIFF): the first page, its strips or tiles."""

import struct
from dataclasses import dataclass
from typing import Final

from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.contents import Contents, Layout
from fer_service.imaging.containers.ifd import ORIENTATION, SIZES, Directory, read_directory

SIGNATURES: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES, _PLANAR = 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_BYTES, _SAMPLE_FORMAT = 322, 323, 324, 325, 339
_DNG_VERSION: Final = 50706
_EXTRA_SAMPLES: Final = 338
# Besides those: fill order, options of CCITT, predictor, colour map, ink set, JPEG tables, YCbCr. The orientation
# is not needed. It is applied after decoding, because libtiff turns each tile alone.
_NEEDED: Final = frozenset(
    {_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES}
    | {_PLANAR, _TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_BYTES, _SAMPLE_FORMAT, _EXTRA_SAMPLES}
    | {266, 292, 293, 317, 318, 319, 320, 332, 347, 529, 530, 531, 532}
)
_RAW: Final = 1
_JPEG: Final = 7
_COMPRESSIONS: Final = {
    **{_RAW: "raw", 2: "CCITT", 3: "CCITT", 4: "CCITT", 5: "LZW", _JPEG: "JPEG", 8: "deflate"},
    **{32771: "CCITT", 32773: "PackBits", 32946: "deflate"},
}
_UNSUPPORTED: Final = {6: "old-style JPEG", 34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA", 50000: "Zstandard"}
_YCBCR: Final = 6
_PHOTOMETRICS: Final = (0, 1, 2, 3, 5, _YCBCR, 8)
_FLOAT: Final = 3
_MAX_VALUES: Final = 2**20
_MAX_PADDING: Final = 2048  # a tile may be larger than its image, up to this side
_WAY_OUT: Final = "; send 8 bits per sample, uncompressed or with LZW, deflate or JPEG compression"


@dataclass(frozen=True)
class _Page:
    """Facts about the image of the first directory."""

    width: int
    height: int
    bits: int
    samples: int
    compression: int
    separate: bool
    tile: tuple[int, int]
    tiled: bool

    @property
    def blocks(self) -> int:
        """Number of strips or tiles."""
        across, down = -(-self.width // self.tile[0]), -(-self.height // self.tile[1])
        return across * down * (self.samples if self.separate else 1)

    @property
    def last_rows(self) -> int:
        """Rows of the last strips, or of each tile."""
        return self.tile[1] if self.tiled else (self.height - 1) % self.tile[1] + 1

    def raw_bytes(self, rows: int) -> int:
        """Bytes of so many rows of a strip or tile without compression."""
        samples = 1 if self.separate else self.samples
        return rows * -(-self.tile[0] * samples * self.bits // 8)

    @property
    def block_bytes(self) -> int:
        """Bytes that the decoder needs for one strip or tile: as RGBA, as it is stored, and JPEG coefficients."""
        coefficients = 16 if self.compression == _JPEG else 0
        return self.tile[0] * self.tile[1] * (32 + (self.bits + coefficients) * self.samples) // 8


def read_tiff(data: bytes) -> Contents:
    """Check the first page of a TIFF file, and leave out the other pages and all tags that its pixels do not need.

    Raises:
        UndecodableImage: a length does not fit, or the kind of TIFF is not supported.
    """
    directory = read_directory(data)
    if data[8:10] == b"CR" or _DNG_VERSION in directory.entries:
        raise UndecodableImage("camera raw files are not supported; send the image as JPEG")
    page = _page(directory)
    longest = _check_blocks(directory, page)
    kept = _alone(directory)
    orientation = directory.value(ORIENTATION, 1)
    detail = f"{page.bits}-bit, {page.samples} samples, {_COMPRESSIONS[page.compression]}"
    buffers = page.block_bytes + longest
    return Contents(
        layout=Layout.TIFF,
        width=page.width,
        height=page.height,
        data=kept,
        detail=detail,
        orientation=orientation if 1 <= orientation <= 8 else 1,
        buffers=buffers,
        slow=True,
        sixteen_bits=page.bits == 16 and _is_usual(page, directory.value(_PHOTOMETRIC, -1)),
    )


def _is_usual(page: _Page, photometric: int) -> bool:
    """Return True for grey and RGB, all samples of a pixel together: OpenCV reads only these with 16 bits."""
    return photometric in (1, 2) and page.samples in (1, 3, 4) and not page.separate


def _page(directory: Directory) -> _Page:
    width, height = directory.value(_WIDTH, 0), directory.value(_LENGTH, 0)
    samples, compression = directory.value(_SAMPLES, 1), directory.value(_COMPRESSION, 1)
    photometric = directory.value(_PHOTOMETRIC, -1)
    depths = set(directory.values(_BITS, 64)) or {1}
    bits = next(iter(depths))
    if not width or not height:
        raise UndecodableImage(f"the TIFF image claims {width}×{height} pixels")
    if compression not in _COMPRESSIONS:
        name = _UNSUPPORTED.get(compression, f"compression {compression}")
        raise UndecodableImage(f"TIFF with {name} is not supported{_WAY_OUT}")
    if len(depths) > 1 or bits not in (1, 4, 8, 16) or _FLOAT in directory.values(_SAMPLE_FORMAT, 64):
        numbers = ", ".join(map(str, sorted(depths)))
        kind = "-bit floats" if _FLOAT in directory.values(_SAMPLE_FORMAT, 64) else " bits per sample"
        raise UndecodableImage(f"TIFF with {numbers}{kind} is not supported{_WAY_OUT}")
    if not 1 <= samples <= 4 or photometric not in _PHOTOMETRICS:
        raise UndecodableImage(
            f"TIFF with {samples} samples of colour type {photometric} is not supported; send RGB, CMYK or grey, "
            "with at most one more channel"
        )
    tiled = _TILE_WIDTH in directory.entries
    if tiled:
        tile = directory.value(_TILE_WIDTH, 0), directory.value(_TILE_LENGTH, 0)
    else:
        rows = directory.value(_ROWS_PER_STRIP, height) or height
        tile = width, min(rows, height)
    if not 0 < tile[0] <= max(width + 15, _MAX_PADDING) or not 0 < tile[1] <= max(height + 15, _MAX_PADDING):
        raise UndecodableImage(f"the TIFF image of {width}×{height} pixels claims tiles of {tile[0]}×{tile[1]}")
    return _Page(width, height, bits, samples, compression, directory.value(_PLANAR, 1) == 2, tile, tiled)


def _check_blocks(directory: Directory, page: _Page) -> int:
    """Check where strips or tiles are; return the bytes of the longest."""
    size = len(directory.data)
    tags = (_TILE_OFFSETS, _TILE_BYTES) if page.tiled else (_STRIP_OFFSETS, _STRIP_BYTES)
    offsets, lengths = (directory.values(tag, _MAX_VALUES) for tag in tags)
    if len(offsets) < page.blocks:
        raise UndecodableImage(f"the TIFF image needs {page.blocks:,} strips or tiles; it has {len(offsets):,}")
    if not lengths and page.blocks == 1:
        return size
    if len(lengths) < page.blocks:
        raise UndecodableImage(f"the TIFF image needs {page.blocks:,} lengths of strips; it has {len(lengths):,}")
    if any(at + length > size for at, length in zip(offsets, lengths, strict=False)):
        raise UndecodableImage(f"the TIFF image is truncated: strips or tiles end beyond its {size:,} bytes")
    if page.compression == _RAW and directory.value(_PHOTOMETRIC, 0) != _YCBCR:  # whose colours may be subsampled
        down = 1 if page.tiled else -(-page.height // page.tile[1])
        for number, (at, length) in enumerate(zip(offsets[: page.blocks], lengths, strict=False), 1):
            needed = page.raw_bytes(page.tile[1] if number % down else page.last_rows)
            # Decoders estimate a wrong length of the only strip.
            if at + needed > size or (length < needed and page.blocks > 1):
                raise UndecodableImage(f"the TIFF image is truncated: strip {number:,} needs {needed:,} bytes")
    # Empty tiles may share their bytes. More than this is work without pixels.
    if sum(lengths) > 2 * size + page.width * page.height * page.samples * page.bits // 8:
        raise UndecodableImage(f"the TIFF strips claim {sum(lengths):,} bytes of a file of {size:,}")
    return max(lengths)


def _alone(directory: Directory) -> bytes:
    """Return the file with the needed tags of its first page only."""
    data, order, entries = bytearray(directory.data), directory.order, directory.entries
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    size, number = (20, "Q") if big else (12, "I")
    first = directory.next_at - directory.count * size
    if _EXTRA_SAMPLES in entries:
        # Unspecified samples are ignored, as transparency is in other formats. Others would be multiplied.
        directory.check(_EXTRA_SAMPLES, _MAX_VALUES)
        kind, count, start = entries[_EXTRA_SAMPLES]
        length = count * SIZES[kind]
        data[start : start + length] = bytes(length)
    kept = []
    for at in range(first, directory.next_at, size):
        tag, kind, count = struct.unpack_from(f"{order}HH{number}", data, at)
        if tag not in _NEEDED or entries.get(tag, ())[:2] != (kind, count):
            continue
        directory.check(tag, _MAX_VALUES)
        kept.append(bytes(data[at : at + size]))
    struct.pack_into(order + ("Q" if big else "H"), data, first - (8 if big else 2), len(kept))
    body = b"".join(kept) + bytes(struct.calcsize(number))  # no next directory
    data[first : first + len(body)] = body
    return bytes(data)
