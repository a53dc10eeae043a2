"""Memory that decoding takes: bytes per pixel by kind of file."""

from typing import Final

from fer_service.imaging.containers.contents import Contents, Layout

# Measured by benchmarks/fer_benchmarks/decode_memory.py with OpenCV 4.14; docs/operations.md has the table.
BYTES_PER_PIXEL: Final = {
    Layout.JPEG: 3.0,
    Layout.PNG: 3.0,
    Layout.WEBP_LOSSY: 3.0,
    Layout.WEBP_LOSSLESS: 8.5,
    Layout.WEBP_ANIMATED: 15.0,
    Layout.GIF: 8.0,
    Layout.BMP: 3.0,
    Layout.TIFF: 3.0,
    Layout.AVIF: 18.5,
    Layout.AVIF_DEEP: 23.0,
    Layout.HEIC: 14.0,
    Layout.HEIC_DEEP: 20.0,
}
_FIXED: Final = 2_000_000
_PIXEL: Final = 3


def decode_memory(contents: Contents) -> int:
    """Return the estimated peak in bytes while the whole image is decoded at full size and turned upright.

    The file itself does not count.
    """
    pixels = contents.width * contents.height
    sample = 2 if contents.sixteen_bits else 1
    decoding = int(pixels * BYTES_PER_PIXEL[contents.layout]) + contents.buffers
    # OpenCV's Python binding copies the decoded image, and so does turning it; both when the decoder is done.
    return _FIXED + max(decoding, pixels * 2 * _PIXEL * sample) + pixels * _PIXEL * contents.unterminated
