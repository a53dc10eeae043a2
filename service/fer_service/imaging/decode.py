"""Encoded images to upright RGB pixels, at a reduced size if that is enough.

OpenCV decodes; libheif decodes HEIC. The EXIF orientation (tag 0x0112) is applied here, because OpenCV knows it
for some formats only.
"""

import io
import logging
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_service.contract.errors import InsufficientMemory, UndecodableImage
from fer_service.imaging.foreign import damage
from fer_service.imaging.header import Header

logger = logging.getLogger(__name__)
_REDUCED: Final = {
    # OpenCV's flags for these that end in COLOR mean BGR; the grey flags hold the reduction alone.
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
# Two ends for a JPEG file without one. If pixels are missing, they are decoded from these bytes, and differ.
_END: Final = b"\xff\xd9"
_ENDS: Final = (bytes(96) + _END, bytes(range(60, 252, 2)) + _END)
_DARK: Final = 64  # the highest level of an image that uses 14 of 16 bits
_DEPTHS: Final = (8, 10, 12, 14, 16)  # bits per sample
_MIN_FILLER: Final = 256  # zeros at the end of a file that was not written to its end


def decode(data: bytes, header: Header, reduction: int = 1) -> NDArray[np.uint8]:
    """Decode an image: the first frame, without transparency.

    Args:
        data: The file as `open_image` returns it.
        header: Header of the same file.
        reduction: Divisor of each side, rounded up: 1, 2, 4 or 8.

    Returns:
        Upright uint8 [height, width, 3], RGB. Samples of 16 bits are divided by 256, or by less if the largest one
        shows that the camera had 8, 10, 12 or 14 bits.

    Raises:
        UndecodableImage: the data after the header are truncated or damaged.
        InsufficientMemory: memory ran out.
    """
    if header.unterminated:
        filled = data.rstrip(b"\0")
        data = filled if len(data) - len(filled) >= _MIN_FILLER else data
        data = data.rstrip(b"\xff")
        _check_end(data, 1)
        data += _END
    pixels = _stored(data, header, reduction)
    if header.format == "JPEG" and not header.unterminated and _ends_in_one_colour(pixels):
        _check_end(data[: data.rindex(_END)], 8)
    if header.format == "TIFF" and not pixels.any(axis=2).all():
        _check_strips(data)
    return _upright(pixels, header.orientation)


def _ends_in_one_colour(pixels: NDArray[np.uint8]) -> bool:
    """Return True if the last row is of one colour other than black and white, which many borders have."""
    return bool((pixels[-1] == pixels[-1, 0]).all()) and 0 < int(pixels[-1, 0].sum()) < 3 * 255


def _check_end(data: bytes, reduction: int) -> None:
    """Refuse a JPEG image whose last pixels are missing: decoders fill them with one colour, without an error.

    Args:
        data: The file without its end marker.
        reduction: Divisor of each side at which missing pixels are looked for.

    Raises:
        UndecodableImage: what follows the data changes the image.
    """
    from PIL.JpegImagePlugin import JpegImageFile  # unlike OpenCV, it does not print libjpeg's warnings

    shown = []
    for end in _ENDS:
        try:
            with JpegImageFile(io.BytesIO(data + end)) as image:
                image.draft(None, (max(image.width // reduction, 1), max(image.height // reduction, 1)))
                shown.append(np.asarray(image))
        except (SyntaxError, ValueError):  # odd metadata must not refuse an image
            return
        except OSError as error:
            raise UndecodableImage(f"the JPEG image is truncated or damaged{damage(data)}") from error
    if not np.array_equal(shown[0], shown[1]):
        raise UndecodableImage("the JPEG image is truncated")


def _check_strips(data: bytes) -> None:
    """Refuse a TIFF image with damaged strips or tiles: OpenCV leaves them black, without an error.

    Raises:
        UndecodableImage: Pillow cannot decode one. Kinds that it does not know are not checked.
    """
    from PIL.TiffImagePlugin import TiffImageFile  # only the processes that decode TIFF images load it

    try:
        with TiffImageFile(io.BytesIO(data)) as image:
            image.load()
    except OSError as error:
        raise UndecodableImage(f"the TIFF image is truncated or damaged ({error})") from error
    except Exception:  # OpenCV has read the image: what only Pillow or its memory refuses is not checked
        logger.debug("cannot check the strips", exc_info=True)


def _stored(data: bytes, header: Header, reduction: int) -> NDArray[np.uint8]:
    """Return the pixels as the file has them, before the orientation is applied."""
    pixels = _by_libheif(data) if header.format == "HEIC" else _by_opencv(data, header, reduction)
    if pixels is None:
        # Most decoders do not say that memory ran out.
        if not _can_allocate(header.memory):
            raise _out_of_memory()
        raise UndecodableImage(f"the {header.format} image is truncated or damaged{damage(data)}")
    height, width = pixels.shape[:2]
    if header.orientation >= 5:
        height, width = width, height
    if (width, height) != (-(-header.width // reduction), -(-header.height // reduction)):
        raise UndecodableImage(f"the {header.format} image does not have the size that its header claims")
    return pixels.astype(np.uint8, copy=False)


def _by_opencv(data: bytes, header: Header, reduction: int) -> NDArray[np.generic] | None:
    usual = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION | _REDUCED[reduction]
    pixels = _imdecode(data, header, usual)
    if not header.sixteen_bits or (pixels is not None and pixels.max() > _DARK):
        return pixels
    # OpenCV 4.14 reads tiles of 16 bits only so. IMREAD_COLOR_RGB would leave TIFF images uninitialised.
    deep = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION | _REDUCED[reduction]
    del pixels
    samples = _imdecode(data, header, deep)
    return None if samples is None else _eight_bits(samples)


def _imdecode(data: bytes, header: Header, flags: int) -> NDArray[np.generic] | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise _out_of_memory() from error
        raise UndecodableImage(f"cannot decode the {header.format} image: {error.err}") from error


def _eight_bits(samples: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return samples uint16 [h, w, 3], BGR, as uint8, RGB.

    Many cameras have 10, 12 or 14 bits, and many programs write their samples, or those of 8 bits, unchanged into
    files of 16 bits. Divided by 256, these images are dark or black.
    """
    largest = int(samples.max())
    bits = next(bits for bits in _DEPTHS if largest < 2**bits)
    samples = np.right_shift(samples, bits - 8, out=samples)
    return cv2.cvtColor(samples.astype(np.uint8), cv2.COLOR_BGR2RGB)


def _by_libheif(data: bytes) -> NDArray[np.generic] | None:
    # Only the processes that decode HEIC images load its library.
    import pi_heif

    pi_heif.options.DECODE_THREADS = 1
    try:
        file = pi_heif.open_heif(data)
        pixels: NDArray[np.uint8] = np.asarray(file)
    # As pi_heif.HeifFile says; without any image it raises an IndexError.
    except (ValueError, EOFError, SyntaxError, RuntimeError, OSError, IndexError):
        return None
    # The array shows memory that goes with `file`, so both ways copy it.
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if pixels.ndim == 2 else pixels[:, :, :3].copy()


def _can_allocate(size: int) -> bool:
    try:
        np.empty(size, np.uint8)  # untouched, so it costs nothing
    except MemoryError:
        return False
    return True


def _out_of_memory() -> InsufficientMemory:
    return InsufficientMemory("not enough memory to decode the image; try again later")


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
