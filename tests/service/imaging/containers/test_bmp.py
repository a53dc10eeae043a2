import struct

import numpy as np
import pytest
from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image

from tests.service.conftest import Pixels
from tests.service.imaging.samples import samples


def pixels_of(data: bytes) -> Pixels:
    image = open_image(data, 1_000_000)
    return decode(image.data, image.header)


def bmp(
    width: int = 2,
    height: int = 2,
    depth: int = 24,
    compression: int = 0,
    colours: int = 0,
    palette: bytes = b"",
    pixels: bytes = bytes(16),
    size: int = 40,
    offset: int | None = None,
) -> bytes:
    header = struct.pack("<IiiHHIIiiII", size, width, height, 1, depth, compression, 0, 0, 0, colours, 0)
    start = 14 + len(header) + len(palette) if offset is None else offset
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, start) + header + palette + pixels


def test_rows_may_run_from_top_to_bottom() -> None:
    rows = b"\1\2\3\4\5\6\0\0" + b"\7\x08\x09\x0a\x0b\x0c\0\0"
    assert pixels_of(bmp(height=-2, pixels=rows))[0].tolist() == [[3, 2, 1], [6, 5, 4]]
    assert (pixels_of(bmp(pixels=rows)) == pixels_of(bmp(height=-2, pixels=rows))[::-1]).all()


def test_run_length_encoding_is_read() -> None:
    palette = b"\0\0\xff\0\xff\0\0\0"
    runs = b"\2\0\0\0\2\1\0\1"
    pixels = pixels_of(bmp(depth=8, compression=1, colours=2, palette=palette, pixels=runs))
    assert pixels.tolist() == [[[0, 0, 255]] * 2, [[255, 0, 0]] * 2]


def test_the_short_header_is_read() -> None:
    data = b"BM" + struct.pack("<IHHIIHHHH", 0, 0, 0, 26, 12, 1, 1, 1, 24) + b"\1\2\3\0"
    assert pixels_of(data).tolist() == [[[3, 2, 1]]]


def test_sixteen_bits_are_read() -> None:
    data = bmp(1, 1, 16, pixels=struct.pack("<HH", 0x7C00, 0))
    assert np.argmax(pixels_of(data)[0, 0]) == 0


@pytest.mark.parametrize("size", [40, 52, 56, 108, 124])
def test_the_bit_fields_of_every_header_are_read(size: int) -> None:
    masks = struct.pack("<4I", 0xF800, 0x7E0, 0x1F, 0)[: 12 if size < 56 else 16]
    rest = bytes(max(size - 40 - len(masks), 0))
    start = max(14 + size, 66)
    pixels = struct.pack("<HH", 0x7E0, 0)
    data = bmp(1, 1, 16, compression=3, palette=masks + rest, pixels=pixels, size=size, offset=start)
    assert pixels_of(data).argmax() == 1


@pytest.mark.parametrize("size", [40, 52, 56, 108, 124])
@pytest.mark.parametrize("shifts", [(16, 8, 0), (0, 8, 16), (24, 16, 8)], ids=["BGRA", "RGBA", "ABGR"])
def test_the_bit_fields_of_32_bits_are_read(size: int, shifts: tuple[int, int, int]) -> None:
    masks = struct.pack("<3I", *(255 << shift for shift in shifts))
    pixel = struct.pack("<I", sum(level << shift for level, shift in zip((200, 100, 50), shifts, strict=True)))
    rest = bytes(max(size - 40 - len(masks), 0))
    start = max(14 + size, 66)
    data = bmp(1, 1, 32, compression=3, palette=masks + rest, pixels=pixel, size=size, offset=start)
    assert pixels_of(data).ravel().tolist() == [200, 100, 50]


def test_bytes_beyond_the_rows_are_ignored() -> None:
    assert (pixels_of(samples()["BMP"] + bytes(999)) == pixels_of(samples()["BMP"])).all()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (bmp(size=2**31), "header claims 2,147,483,648 bytes"),
        (bmp(width=0), "0×2 pixels"),
        (bmp(width=-5), "-5×2 pixels"),
        (bmp(width=2**30, height=2**30), "1073741824×1073741824 pixels"),
        (bmp(depth=7), "7 bits"),
        (bmp(compression=4), "JPEG inside is not supported; send the JPEG"),
        (bmp(compression=5), "PNG inside"),
        (bmp(compression=9), "compression 9"),
        (bmp(compression=1), "compression 1 with 24 bits"),
        (bmp(compression=3), "bit fields with 24 bits"),
        (bmp(depth=8, colours=2**31), "claims 2,147,483,648 colours"),
        (bmp(depth=8), "begin beyond the file"),
        (bmp(offset=2**31), "begin beyond the file"),
        (bmp(offset=0), "begin beyond the file"),
        (bmp(pixels=bytes(15)), "needs 16 bytes of pixels; 15 follow"),
        (bmp(width=10_000, height=10_000), "needs 300,000,000 bytes of pixels"),
    ],
)
def test_the_header_must_fit_the_bytes(data: bytes, text: str) -> None:
    with pytest.raises(UndecodableImage, match=text):
        open_image(data, 1000)
