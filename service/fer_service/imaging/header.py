"""Facts about an image that are known before decoding."""

from dataclasses import dataclass
from typing import Final

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIC")


@dataclass(frozen=True)
class Header:
    """The header of an encoded image.

    Attributes:
        format: One of `FORMATS`.
        width: Width of the upright image in pixels.
        height: Height of the upright image in pixels.
        orientation: EXIF orientation that is still to be applied, 1 to 8; 1 is upright.
        memory: Estimated peak in bytes while the whole image is decoded at full size.
        isolated: A process of its own should decode it: it may take long, or much memory.
        kind: A short description for the log, such as "progressive JPEG 7000×7000, 12 scans".
        unterminated: The file lacks its end marker; `decode` finds out whether pixels are missing too.
        sixteen_bits: The file has 16 bits per sample; the camera may have had fewer.
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    memory: int = 0
    isolated: bool = False
    kind: str = ""
    unterminated: bool = False
    sixteen_bits: bool = False

    def memory_at(self, reduction: int) -> int:
        """Return the estimated peak in bytes while the image is decoded at a reduction of 1, 2, 4 or 8."""
        return self.memory if self.isolated else self.memory // reduction**2

    def reduction(self, side: float) -> int:
        """Return the largest reduction (1, 2, 4 or 8) that leaves the long side at least `side` pixels.

        Only JPEG decodes faster at a fraction of its size; for other formats this is 1. It is 1 for a file without
        an end marker, because every pixel of it has to be looked at.
        """
        if self.format != "JPEG" or self.unterminated:
            return 1
        return next((n for n in (8, 4, 2) if max(self.width, self.height) / n >= side), 1)
