"""GIF (GIF89a Specification): screen, colour tables and the first image."""

import struct
from typing import Final

from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.contents import Contents, Layout

SIGNATURES: Final = (b"GIF87a", b"GIF89a")
_MAX_EXTENSIONS: Final = 10_000
_MAX_BLOCKS: Final = 500_000
_EXTENSION, _IMAGE = 0x21, 0x2C
_GRAPHIC_CONTROL: Final = 0xF9


def read_gif(data: bytes) -> Contents:
    """Check the blocks of a GIF file up to its first image, and leave out everything after it.

    Raises:
        UndecodableImage: a length does not fit, or the file has no image.
    """
    width, height, flags, background, _ = struct.unpack_from("<HHBBB", data, 6)
    at = 13 + _table_bytes(flags)
    head, control = bytearray(data[:at]), b""
    if len(head) < at:
        raise UndecodableImage("the GIF colour table ends beyond the file")
    for _ in range(_MAX_EXTENSIONS):
        if data[at] != _EXTENSION:
            break
        end = _after_blocks(data, at + 2)
        if data[at + 1] == _GRAPHIC_CONTROL and data[at + 2] == 4:
            control = data[at : at + 7] + b"\0"
        at = end
    if data[at] != _IMAGE:
        raise UndecodableImage("the GIF file contains no image")
    left, top, across, down, image_flags = struct.unpack_from("<HHHHB", data, at + 1)
    blocks = at + 11 + _table_bytes(image_flags)
    try:
        image = data[at : _after_blocks(data, blocks)]
    except IndexError:  # all pixels may be there, and only the end of the blocks is missing
        image = data[at:] + b"\0"
        _after_blocks(data + b"\0", blocks)
    if not across or not down:
        raise UndecodableImage(f"the GIF image claims {across}×{down} pixels")
    # Browsers enlarge the screen if the first image does not fit, and ignore an invalid background.
    width, height = max(width, left + across), max(height, top + down)
    if max(width, height) >= 2**16:
        raise UndecodableImage(f"the GIF image ends at {width}×{height} pixels; the format allows 65,535")
    if flags & 0x80 and background >= 2 << (flags & 7):
        background = 0
    struct.pack_into("<HHBB", head, 6, width, height, flags, background)
    cut = b"".join((head, control, image, b";"))
    return Contents(Layout.GIF, width, height, cut, "first frame", slow=True)


def _table_bytes(flags: int) -> int:
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    """Return the position after a sequence of data blocks.

    Raises:
        IndexError: it ends beyond the file.
    """
    for _ in range(_MAX_BLOCKS):
        size = data[at]
        at += 1 + size
        if not size:
            return at
    raise UndecodableImage(f"the GIF file has more than {_MAX_BLOCKS:,} blocks before its first image ends")
