"""Facts that the readers of all formats return."""

from dataclasses import dataclass
from enum import StrEnum


class Layout(StrEnum):
    """Kinds of files that differ in the memory per pixel that decoding takes."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP_LOSSY = "lossy WebP"
    WEBP_LOSSLESS = "lossless WebP"
    WEBP_ANIMATED = "animated WebP"
    GIF = "GIF"
    BMP = "BMP"
    TIFF = "TIFF"
    AVIF = "AVIF"
    AVIF_DEEP = "AVIF of 10 or 12 bits"
    HEIC = "HEIC"
    HEIC_DEEP = "HEIC of 10 or 12 bits"


@dataclass(frozen=True)
class Contents:
    """An image file whose structure is sound.

    Attributes:
        layout: Decides the memory per pixel.
        width: Pixels per row as the decoder returns them, before `orientation` is applied.
        height: Rows as the decoder returns them.
        data: The file for the decoder: one image, without the metadata that could refuse it.
        detail: Words for the log, such as "progressive, 10 scans"; may be empty.
        orientation: Orientation that is still to be applied, 1 to 8 as in EXIF.
        buffers: Bytes that the decoder needs beyond those per pixel: coefficients, strips, tiles.
        slow: Decoding may take long for its size, or the decoder is fragile: a process of its own should do it.
        unterminated: The file ends where more pixels could follow.
        sixteen_bits: PNG and TIFF: a sample has 16 bits.
    """

    layout: Layout
    width: int
    height: int
    data: bytes
    detail: str = ""
    orientation: int = 1
    buffers: int = 0
    slow: bool = False
    unterminated: bool = False
    sixteen_bits: bool = False
