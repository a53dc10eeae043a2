import struct
import zlib

import pytest
from fer_service.contract.errors import TooManyPixels, UndecodableImage
from fer_service.imaging.encoded import open_image
from PIL import Image

from tests.service.conftest import encoded
from tests.service.imaging.samples import samples

LIMIT = 50_000_000


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
        open_image(png_header(side, side), LIMIT)


def test_the_error_states_the_number_of_pixels() -> None:
    with pytest.raises(TooManyPixels, match=r"12000×12000 = 144,000,000 pixels; the maximum is 50,000,000"):
        open_image(png_header(12_000, 12_000), LIMIT)


@pytest.mark.parametrize(("max_pixels", "allowed"), [(1200, True), (1199, False)])
def test_the_limit_itself_is_allowed(max_pixels: int, allowed: bool) -> None:
    data = encoded(Image.new("RGB", (40, 30)), "PNG")
    if allowed:
        header = open_image(data, max_pixels).header
        assert (header.format, header.width, header.height, header.orientation) == ("PNG", 40, 30, 1)
    else:
        with pytest.raises(TooManyPixels):
            open_image(data, max_pixels)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", r"the image is empty; supported formats: JPEG, PNG"),
        (b"no image at all, but some text", r"unknown image format .*\(30 bytes\); supported"),
        (b"\xff\xd8\xff", "JPEG file ends before its image"),
        (b"\x89PNG\r\n\x1a\n", "PNG image has no pixels"),
        (b"\x89PNG\r\n\x1a\n\0\0", r"PNG file is truncated or damaged \(10 bytes\)"),
        (b"GIF89a", "GIF file is truncated"),
        (b"BM", "BMP file is truncated"),
        (b"II*\0", "TIFF header is damaged"),
        (b"RIFF\xff\0\0\0WEBP", "WebP file claims 263 bytes and has 12"),
    ],
)
def test_bytes_without_an_image_are_undecodable(data: bytes, text: str) -> None:
    with pytest.raises(UndecodableImage, match=text):
        open_image(data, 1000)


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "PCX"])
def test_an_unsupported_format_is_undecodable(kind: str) -> None:
    with pytest.raises(UndecodableImage):
        open_image(encoded(Image.new("RGB", (32, 32)), kind), 10_000)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("JPEG", "JPEG 96×64, baseline"),
        ("JPEG progressive", "JPEG 96×64, progressive, 10 scans"),
        ("JPEG CMYK", "JPEG 96×64, baseline, CMYK"),
        ("PNG palette", "PNG 96×64, 8-bit palette"),
        ("PNG animated", "PNG 96×64, 8-bit RGB"),
        ("WebP animated", "lossy WebP 96×64"),
        ("GIF", "GIF 96×64, first frame"),
        ("BMP 32-bit", "BMP 96×64, 32-bit"),
        ("TIFF turned", "TIFF 96×64, 8-bit, 3 samples, raw"),
        ("AVIF 10-bit", "AVIF of 10 or 12 bits 96×64"),
    ],
)
def test_the_kind_of_file_is_described(name: str, kind: str) -> None:
    assert open_image(samples()[name], LIMIT).header.kind == kind


def test_ordinary_files_stay_and_the_others_get_a_process_of_their_own() -> None:
    isolated = {name for name, data in samples().items() if open_image(data, LIMIT).header.isolated}
    others = {name for name in samples() if name.startswith(("GIF", "BMP", "TIFF", "AVIF", "HEIC"))}
    assert isolated == others | {"JPEG CMYK", "PNG 16-bit", "PNG interlaced", "WebP part"}


@pytest.mark.parametrize(
    ("kind", "side", "options", "isolated", "bytes_per_pixel"),
    [
        ("JPEG", 7000, {}, False, 6),
        ("JPEG", 4000, {"progressive": True}, False, 6),
        ("JPEG", 4000, {"progressive": True, "subsampling": 0}, True, 9),
        ("PNG", 4000, {"compress_level": 1}, False, 6),
        ("PNG", 4200, {"compress_level": 1}, True, 6),
    ],
)
def test_large_files_are_isolated_but_not_a_jpeg_that_can_be_reduced(
    kind: str, side: int, options: dict[str, object], isolated: bool, bytes_per_pixel: float
) -> None:
    header = open_image(encoded(Image.new("RGB", (side, side)), kind, **options), LIMIT).header
    assert header.isolated is isolated
    assert header.memory / side**2 == pytest.approx(bytes_per_pixel, abs=0.3)


@pytest.mark.parametrize("name", sorted(samples()))
def test_bytes_after_the_end_do_no_harm(name: str) -> None:
    image, longer = (open_image(data, LIMIT) for data in (samples()[name], samples()[name] + b"\0more"))
    assert longer.header == image.header
