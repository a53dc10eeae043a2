"""BMP (Microsoft BITMAPINFOHEADER and its relatives): header, palette and rows."""

import struct
from typing import Final

from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.contents import Contents, Layout

SIGNATURE: Final = b"BM"
_HEADERS: Final = (12, 40, 52, 56, 64, 108, 124)
_RGB, _RLE8, _RLE4, _BITFIELDS = range(4)
_COMPRESSED: Final = {_RLE8: 8, _RLE4: 4}
_EMBEDDED: Final = {4: "JPEG", 5: "PNG"}
_WITH_ALPHA_MASK: Final = 56  # size of the header that has one
_MASKS_END: Final = 14 + 40 + 3 * 4
_MAX_SIDE: Final = 2**20


def read_bmp(data: bytes) -> Contents:
    """Check the header, the palette and the rows of a BMP file.

    Raises:
        UndecodableImage: a length does not fit, or the kind of BMP is not supported.
    """
    offset, size = struct.unpack_from("<II", data, 10)
    compression = colours = 0
    if size == 12:
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
    elif size in _HEADERS:
        width, height, _, depth, compression, _, _, _, colours = struct.unpack_from("<iiHHIIiiI", data, 18)
    else:
        raise UndecodableImage(f"the BMP header claims {size:,} bytes; known are {', '.join(map(str, _HEADERS))}")
    if compression in _EMBEDDED:
        raise UndecodableImage(
            f"BMP with {_EMBEDDED[compression]} inside is not supported; send the {_EMBEDDED[compression]}"
        )
    if not 0 < width <= _MAX_SIDE or not 0 < abs(height) <= _MAX_SIDE or depth not in (1, 4, 8, 16, 24, 32):
        raise UndecodableImage(f"the BMP header claims {width}×{height} pixels of {depth} bits")
    if compression > _BITFIELDS or (compression and _COMPRESSED.get(compression, depth) != depth):
        raise UndecodableImage(f"BMP compression {compression} with {depth} bits is not supported")
    if compression == _BITFIELDS and depth not in (16, 32):
        raise UndecodableImage(f"BMP bit fields with {depth} bits are not supported")
    palette = (3 if size == 12 else 4) * (colours or 2**depth) if depth <= 8 else 0
    if depth <= 8 and colours > 256:
        raise UndecodableImage(f"the BMP palette claims {colours:,} colours of {depth} bits")
    if not 14 + size + palette <= len(data) or not 14 + size <= offset < len(data):
        raise UndecodableImage(f"the BMP palette or pixels begin beyond the file of {len(data):,} bytes")
    rows = -(-width * depth // 32) * 4 * abs(height)
    if compression not in _COMPRESSED and offset + rows > len(data):
        raise UndecodableImage(f"the BMP image needs {rows:,} bytes of pixels; {len(data) - offset:,} follow")
    if compression == _BITFIELDS and depth == 16:
        # OpenCV looks for the masks of 16 bits where the shortest header has them; they follow its fields in all.
        data = data[:14] + struct.pack("<I", 40) + data[18:]
    if compression == _BITFIELDS and depth == 32 and size < _WITH_ALPHA_MASK and offset >= _MASKS_END:
        # OpenCV reads the masks of 32 bits only if a mask of alpha follows them.
        head = data[:10] + struct.pack("<II", offset + 4, _WITH_ALPHA_MASK) + data[18:_MASKS_END]
        data = head + bytes(4) + data[_MASKS_END:]
    detail = f"{depth}-bit" + ", run-length encoded" * (compression in _COMPRESSED)
    return Contents(Layout.BMP, width, abs(height), data, detail, slow=True)
