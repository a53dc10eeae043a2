"""Bytes to an image that may be decoded: the format, the structure of the file, and what decoding will take."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.errors import TooManyPixels, UndecodableImage
from fer_service.imaging.containers import avif, bmp, gif, heic, jpeg, png, tiff, webp
from fer_service.imaging.containers.contents import Contents, Layout
from fer_service.imaging.foreign import damage, foreign_content
from fer_service.imaging.header import FORMATS, Header
from fer_service.imaging.memory import decode_memory

_ISOLATED_BYTES: Final = 100_000_000


@dataclass(frozen=True)
class EncodedImage:
    """An image file whose every length was checked.

    Attributes:
        header: What is known before decoding.
        data: What the decoder gets: the first image of the file, without metadata that it does not need.
    """

    header: Header
    data: bytes


# Decodes an image at a reduction of 1, 2, 4 or 8: uint8 [height, width, 3], RGB, upright.
Decode = Callable[[EncodedImage, int], NDArray[np.uint8]]


def open_image(data: bytes, max_pixels: int) -> EncodedImage:
    """Check an image file; the content decides the format, not a name.

    Args:
        data: The whole file.
        max_pixels: Maximum width × height.

    Raises:
        UndecodableImage: the format is unknown, or the file contradicts itself.
        TooManyPixels: the image has more pixels than `max_pixels`.
    """
    name, read = _reader(data)
    try:
        contents = read(data)
    except (struct.error, IndexError) as error:
        text = f"the {name} file is truncated or damaged ({len(data):,} bytes)"
        raise UndecodableImage(text + damage(data)) from error
    except UndecodableImage as error:
        raise UndecodableImage(f"{error}{damage(data)}") from error
    width, height = contents.width, contents.height
    if width * height > max_pixels:
        raise TooManyPixels(
            f"the image has {width}×{height} = {width * height:,} pixels; the maximum is {max_pixels:,} "
            "(FER_MAX_IMAGE_PIXELS)"
        )
    return EncodedImage(_header(name, contents), contents.data)


def check_format(data: bytes) -> None:
    """Refuse bytes that begin like no supported format; this costs next to nothing.

    Raises:
        UndecodableImage: the format is unknown.
    """
    _reader(data)


def _reader(data: bytes) -> tuple[str, Callable[[bytes], Contents]]:
    for name, read, signatures in _SIGNATURES:
        if data.startswith(signatures):
            return name, read
    if webp.is_webp(data):
        return "WEBP", webp.read_webp
    if avif.is_avif(data):
        return "AVIF", avif.read_avif
    if heic.is_heic(data):
        return "HEIC", heic.read_heic
    raise UndecodableImage(_unknown(data))


_SIGNATURES: Final[tuple[tuple[str, Callable[[bytes], Contents], tuple[bytes, ...]], ...]] = (
    ("JPEG", jpeg.read_jpeg, (jpeg.SIGNATURE,)),
    ("PNG", png.read_png, (png.SIGNATURE,)),
    ("GIF", gif.read_gif, gif.SIGNATURES),
    ("TIFF", tiff.read_tiff, tiff.SIGNATURES),
    ("BMP", bmp.read_bmp, (bmp.SIGNATURE,)),
)


def _unknown(data: bytes) -> str:
    supported = f"supported formats: {', '.join(FORMATS)}"
    if not data:
        return f"the image is empty; {supported}"
    foreign = foreign_content(data[:1024])
    if foreign is None:
        return f"unknown image format or damaged header ({len(data):,} bytes); {supported}{damage(data)}"
    return f"this is {foreign}. {supported[0].upper()}{supported[1:]}"


def _header(name: str, contents: Contents) -> Header:
    memory = decode_memory(contents)
    # A reduced decode of a usual JPEG needs little memory, and the caller knows the reduction.
    plain = contents.layout is Layout.JPEG and not contents.buffers and not contents.unterminated
    width, height = contents.width, contents.height
    kind = f"{contents.layout} {width}×{height}" + f", {contents.detail}" * bool(contents.detail)
    if contents.orientation >= 5:
        width, height = height, width
    return Header(
        format=name,
        width=width,
        height=height,
        orientation=contents.orientation,
        memory=memory,
        isolated=contents.slow or (memory > _ISOLATED_BYTES and not plain),
        kind=kind,
        unterminated=contents.unterminated,
        sixteen_bits=contents.sixteen_bits,
    )
