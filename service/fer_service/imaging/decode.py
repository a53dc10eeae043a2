"""Bytes → upright RGB pixels, as small as the work allows.

Pillow reads the header, so that an image is refused by its pixels before anything is decoded; OpenCV decodes.
The orientation of the EXIF standard (tag 0x0112) is applied here rather than by OpenCV, which knows it of some
formats only.
"""

import io
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_service.contract.errors import TooManyPixels, UndecodableImage

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_JPEG: Final = ("JPEG", "MPO")  # MPO: what some phones and cameras write, a JPEG with further ones behind it
_ORIENTATION_TAG: Final = 0x0112
_REDUCED: Final = {
    # OpenCV's names for these end in COLOR and mean BGR; the grey flags hold the reduction alone.
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}


@dataclass(frozen=True)
class Header:
    """What an image says of itself before it is decoded.

    Attributes:
        format: Pillow's name of the format.
        width: Of the upright image, pixels.
        height: Of the upright image, pixels.
        orientation: EXIF, 1 to 8; 1 is upright.
    """

    format: str
    width: int
    height: int
    orientation: int

    def reduction(self, side: float) -> int:
        """The strongest reduction (1, 2, 4 or 8) that leaves the long side at least `side` pixels.

        Only JPEG decodes faster at a fraction of its size; for other formats this is 1.
        """
        if self.format not in _JPEG:
            return 1
        return next((n for n in (8, 4, 2) if max(self.width, self.height) / n >= side), 1)


def read_header(data: bytes, max_pixels: int) -> Header:
    """Look at an image without decoding it; the content decides, not its name.

    Raises:
        UndecodableImage: no known format.
        TooManyPixels: width × height is above `max_pixels`.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            orientation = _orientation(image)
            kind = image.format or ""
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels(f"the image has more pixels than the {max_pixels:,} that are allowed") from error
    except Exception as error:  # Pillow's plugins raise what their parsers happen to raise
        raise UndecodableImage(
            f"{_described(data)} is none of {', '.join(FORMATS)}, or its header is damaged"
        ) from error
    if width * height > max_pixels:
        raise TooManyPixels(
            f"the image has {width}×{height} = {width * height:,} pixels; {max_pixels:,} are allowed"
        )
    if orientation >= 5:
        width, height = height, width
    return Header(kind, width, height, orientation)


def decode(data: bytes, header: Header, reduction: int = 1) -> NDArray[np.uint8]:
    """Decode an image, its first frame where it has several; transparency is dropped.

    Args:
        data: The whole file.
        header: Of the same bytes.
        reduction: 1, 2, 4 or 8: each side is divided by it, rounded up.

    Returns:
        Upright uint8 [height, width, 3], RGB; 16-bit levels are divided by 256.

    Raises:
        UndecodableImage: the header was fine but the rest is truncated or damaged.
    """
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION | _REDUCED[reduction]
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise UndecodableImage(f"the {header.format} image cannot be decoded: {error.err}") from error
    if pixels is None:
        raise UndecodableImage(f"the {header.format} image is truncated or damaged")
    return _upright(pixels.astype(np.uint8, copy=False), header.orientation)


def _orientation(image: Image.Image) -> int:
    # Pillow decodes a whole PNG to look for EXIF behind its pixels; before them is where it belongs.
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    # A TIFF's orientation is undone by both libraries themselves, whatever they are asked.
    if image.format == "TIFF":
        return 1
    value = image.getexif().get(_ORIENTATION_TAG, 1)
    return value if value in range(1, 9) else 1


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (Exif 3.0, section 4.6.5, tag Orientation)."""
    if orientation in (2, 3, 4):
        pixels = cv2.flip(pixels, {2: 1, 3: -1, 4: 0}[orientation]).astype(np.uint8, copy=False)
    elif orientation == 5:
        pixels = cv2.transpose(pixels).astype(np.uint8, copy=False)
    elif orientation in (6, 8):
        turn = cv2.ROTATE_90_CLOCKWISE if orientation == 6 else cv2.ROTATE_90_COUNTERCLOCKWISE
        pixels = cv2.rotate(pixels, turn).astype(np.uint8, copy=False)
    elif orientation == 7:
        pixels = cv2.flip(cv2.transpose(pixels), -1).astype(np.uint8, copy=False)
    return pixels


def _described(data: bytes) -> str:
    return "an empty body" if not data else f"a body of {len(data):,} bytes"
