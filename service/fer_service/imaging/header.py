"""Image headers: format, size and orientation, read before anything is decoded."""

import io
from dataclasses import dataclass
from typing import Final

from PIL import Image

from fer_service.contract.errors import TooManyPixels, UndecodableImage

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_JPEG: Final = ("JPEG", "MPO")  # MPO: several JPEG images in one file, written by some phones and cameras
_ORIENTATION_TAG: Final = 0x0112


@dataclass(frozen=True)
class Header:
    """The header of an encoded image.

    Attributes:
        format: Pillow's name of the format.
        width: Width of the upright image in pixels.
        height: Height of the upright image in pixels.
        orientation: EXIF orientation, 1 to 8; 1 is upright.
    """

    format: str
    width: int
    height: int
    orientation: int

    def reduction(self, side: float) -> int:
        """Return the largest reduction (1, 2, 4 or 8) that leaves the long side at least `side` pixels.

        Only JPEG decodes faster at a fraction of its size; for other formats this is 1.
        """
        if self.format not in _JPEG:
            return 1
        return next((n for n in (8, 4, 2) if max(self.width, self.height) / n >= side), 1)


def read_header(data: bytes, max_pixels: int) -> Header:
    """Read the header of an image; the content decides the format, not a name.

    Args:
        data: The whole file.
        max_pixels: Maximum width × height.

    Raises:
        UndecodableImage: the format is unknown or the header is damaged.
        TooManyPixels: the image has more pixels than `max_pixels`.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            orientation = _orientation(image)
            kind = image.format or ""
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels(f"the image has more than {max_pixels:,} pixels") from error
    except Exception as error:  # Pillow's plugins raise many kinds of exceptions
        size = f"{len(data):,} bytes" if data else "empty"
        raise UndecodableImage(
            f"unknown image format or damaged header ({size}); supported formats: {', '.join(FORMATS)}"
        ) from error
    if width * height > max_pixels:
        raise TooManyPixels(
            f"the image has {width}×{height} = {width * height:,} pixels; the maximum is {max_pixels:,} "
            "(FER_MAX_IMAGE_PIXELS)"
        )
    if orientation >= 5:
        width, height = height, width
    return Header(kind, width, height, orientation)


def _orientation(image: Image.Image) -> int:
    # Pillow would decode a whole PNG to look for EXIF after its pixels. EXIF belongs before them.
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    # Pillow and OpenCV both apply the orientation of a TIFF themselves, with every option.
    if image.format == "TIFF":
        return 1
    value = image.getexif().get(_ORIENTATION_TAG, 1)
    return value if value in range(1, 9) else 1
