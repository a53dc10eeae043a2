"""HEIC (High Efficiency Image Coding): still images coded in HEVC, as phones take them."""

import struct
from fractions import Fraction
from typing import Final

from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.contents import Contents, Layout
from fer_service.imaging.containers.hevc import CodedFrame, coded_frame
from fer_service.imaging.containers.isobmff import Items
from fer_service.imaging.containers.still_image import Coding, StillImage, brands, read_still_image, without_extras

_BRANDS: Final = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_DECODER_BYTES: Final = 8_000_000  # that an HEVC decoder takes for the smallest image
_MAX_MARGIN: Final = 64  # columns and rows that complete the blocks of a frame


def is_heic(data: bytes) -> bool:
    """Return whether the file begins with the brands of HEIC, or of HEIF whose coding is not said."""
    return bool(_BRANDS & brands(data))


def read_heic(data: bytes) -> Contents:
    """Check the boxes of a HEIC file: every part is there, and the sizes agree with those of the HEVC data.

    An image sequence becomes its still image. EXIF, XMP, depth, gain maps and transparency are left out. The
    decoder crops, turns and mirrors as the image's own properties say (ISO/IEC 23008-12, section 6.5).

    Raises:
        UndecodableImage: a length does not fit, or sizes contradict each other.
    """
    image = read_still_image(data, Coding("HEIC", b"hvc1", _check_size))
    cut = without_extras(data, image.items)
    cut[8:12] = b"heic"
    for at in range(16, min(int.from_bytes(data[:4], "big"), len(data) - 3), 4):
        cut[at : at + 4] = b"mif1"  # of a sequence libheif wants its track
    width, height = _shown(data, image)
    return Contents(
        Layout.HEIC_DEEP if _frame(data, image.items, image.coded).depth > 8 else Layout.HEIC,
        width,
        height,
        bytes(cut),
        f"{image.tiles} tiles" if image.tiles else "",
        buffers=_DECODER_BYTES,
        slow=True,
    )


def _frame(data: bytes, items: Items, item: int) -> CodedFrame:
    place = items.property(item, b"hvcC")
    if place is None:
        raise UndecodableImage("the HEIC image has no HEVC configuration")
    return coded_frame(data[place[0] : place[1]])


def _check_size(data: bytes, items: Items, item: int, size: tuple[int, int]) -> None:
    frame = _frame(data, items, item)
    if (frame.width, frame.height) != size or frame.margin > _MAX_MARGIN:
        coded = f"{frame.width}×{frame.height}" + f" and {frame.margin} more" * bool(frame.margin)
        raise UndecodableImage(f"the HEIC image claims {size[0]}×{size[1]} pixels, its HEVC data {coded}")


def _shown(data: bytes, image: StillImage) -> tuple[int, int]:
    """Return the width and height of the image after it was cropped and turned."""
    width, height = image.width, image.height
    crop = image.items.property(image.items.primary, b"clap")
    if crop:
        across, of_across, down, of_down = struct.unpack_from(">4I", data, crop[0])
        if not of_across or not of_down:
            raise UndecodableImage("the clean aperture of the HEIC image is damaged")
        width = min(round(Fraction(across, of_across)), width)
        height = min(round(Fraction(down, of_down)), height)
    turn = image.items.property(image.items.primary, b"irot")
    return (height, width) if turn and data[turn[0]] & 1 else (width, height)
