"""AVIF (AV1 Image File Format): still images coded in AV1."""

from typing import Final

from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.av1 import coded_size
from fer_service.imaging.containers.contents import Contents, Layout
from fer_service.imaging.containers.isobmff import Items
from fer_service.imaging.containers.still_image import Coding, StillImage, brands, read_still_image, without_extras

_BRANDS: Final = {b"avif", b"avis"}
_DECODER_BYTES: Final = 8_000_000  # that an AV1 decoder takes for the smallest image
# EXIF's orientation for the steps of 90° anticlockwise of irot, then without imir, with axis 0, with axis 1.
_ORIENTATIONS: Final = ((1, 4, 2), (8, 5, 7), (3, 2, 4), (6, 7, 5))


def is_avif(data: bytes) -> bool:
    """Return whether the file begins with the brands of AVIF."""
    return bool(_BRANDS & brands(data))


def read_avif(data: bytes) -> Contents:
    """Check the boxes of an AVIF file: every part is there, and the sizes agree with those of the AV1 data.

    An image sequence becomes its still image. EXIF, XMP and transparency are left out. The image's own properties
    have the orientation.

    Raises:
        UndecodableImage: a length does not fit, or sizes contradict each other.
    """
    image = read_still_image(data, Coding("AVIF", b"av01", _check_size))
    cut = without_extras(data, image.items)
    cut[8:12] = b"avif"
    return Contents(
        Layout.AVIF_DEEP if _depth(data, image) > 8 else Layout.AVIF,
        image.width,
        image.height,
        bytes(cut),
        f"{image.tiles} tiles" if image.tiles else "",
        _orientation(data, image.items),
        buffers=_DECODER_BYTES,
        slow=True,
    )


def _check_size(data: bytes, items: Items, item: int, size: tuple[int, int]) -> None:
    begin, end = items.extents[item][0]
    coded = coded_size(data[begin : min(end, begin + 1024)])
    if coded != size:
        raise UndecodableImage(
            f"the AVIF image claims {size[0]}×{size[1]} pixels, its AV1 data {coded[0]}×{coded[1]}"
        )


def _depth(data: bytes, image: StillImage) -> int:
    """Return the bits per sample of the image, or of its first tile."""
    place = image.items.property(image.coded, b"av1C")
    if place is None:
        raise UndecodableImage("the AVIF image has no AV1 configuration")
    flags = data[place[0] + 2]
    return 8 if not flags & 64 else 12 if flags & 32 else 10


def _orientation(data: bytes, items: Items) -> int:
    turn, mirror = (items.property(items.primary, kind) for kind in (b"irot", b"imir"))
    steps = data[turn[0]] & 3 if turn else 0
    return _ORIENTATIONS[steps][1 + (data[mirror[0]] & 1) if mirror else 0]
