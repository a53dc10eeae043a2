import struct
import zlib

import pytest
from fer_service.contract.errors import TooManyPixels, UndecodableImage
from fer_service.imaging.decode import decode
from fer_service.imaging.header import Header, read_header
from PIL import Image

from tests.service.conftest import encoded


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises many pixels and holds none worth the name."""
    about = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", about) + end


@pytest.mark.parametrize("side", [8_000, 12_000, 40_000])
def test_too_many_pixels_are_refused_from_the_header_alone(side: int) -> None:
    with pytest.raises(TooManyPixels, match="50,000,000"):
        read_header(png_header(side, side), 50_000_000)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_error_states_the_number_of_pixels() -> None:
    with pytest.raises(TooManyPixels, match=r"12000×12000 = 144,000,000 pixels; the maximum is 50,000,000"):
        read_header(png_header(12_000, 12_000), 50_000_000)


@pytest.mark.parametrize(("max_pixels", "allowed"), [(1200, True), (1199, False)])
def test_the_limit_itself_is_allowed(max_pixels: int, allowed: bool) -> None:
    data = encoded(Image.new("RGB", (40, 30)), "PNG")
    if allowed:
        assert read_header(data, max_pixels) == Header("PNG", 40, 30, 1)
    else:
        with pytest.raises(TooManyPixels):
            read_header(data, max_pixels)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", r"damaged header \(empty\); supported formats: JPEG, PNG"),
        (b"no image at all, but some text", r"unknown image format .*\(30 bytes\)"),
        (b"\xff\xd8\xff", "damaged header"),
        (b"\x89PNG\r\n\x1a\n", "damaged header"),
        (b"%PDF-1.7\n", "unknown image format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unknown image format"),
    ],
)
def test_bytes_of_no_known_format_are_undecodable(data: bytes, text: str) -> None:
    with pytest.raises(UndecodableImage, match=text):
        read_header(data, 1000)


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "PCX"])
def test_an_unsupported_format_is_undecodable(kind: str) -> None:
    with pytest.raises(UndecodableImage):
        read_header(encoded(Image.new("RGB", (32, 32)), kind), 10_000)


@pytest.mark.parametrize("box", [b"pitm", b"iloc", b"av1C"])
def test_an_avif_without_its_image_is_undecodable(box: bytes) -> None:
    data = encoded(Image.new("RGB", (32, 32)), "AVIF")
    assert box in data
    with pytest.raises(UndecodableImage):
        read_header(data.replace(box, b"free"), 10_000)


def test_exif_counts_before_the_pixels_of_a_png_and_not_after_them() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    early = encoded(Image.new("RGB", (40, 30), "red"), "PNG", exif=exif)
    start = early.index(b"eXIf") - 4
    length = 12 + struct.unpack(">I", early[start : start + 4])[0]
    end = early.index(b"IEND") - 4
    late = early[:start] + early[start + length : end] + early[start : start + length] + early[end:]

    assert read_header(early, 10_000) == Header("PNG", 30, 40, 6)
    header = read_header(late, 10_000)
    assert header == Header("PNG", 40, 30, 1)
    assert decode(late, header).shape == (30, 40, 3)


@pytest.mark.parametrize(
    ("side", "expected"),
    [(5000, 1), (4000, 1), (2001, 1), (2000, 2), (1001, 2), (1000, 4), (501, 4), (500, 8), (640, 4), (1, 8)],
)
def test_the_reduction_leaves_the_long_side_long_enough(side: int, expected: int) -> None:
    assert Header("JPEG", 4000, 3000, 1).reduction(side) == expected
    assert Header("MPO", 3000, 4000, 6).reduction(side) == expected


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_only_jpegs_are_reduced(kind: str) -> None:
    assert Header(kind, 4000, 3000, 1).reduction(64) == 1
