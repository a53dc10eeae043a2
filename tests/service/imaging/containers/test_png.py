import random
import struct
import zlib

import numpy as np
import pytest
from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.png import read_png
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image
from PIL import Image

from tests.service.conftest import Pixels, encoded
from tests.service.imaging.samples import figure, interlaced_png, png, png_chunk, samples, turned

LIMIT = 1_000_000
HEAD = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0))
PIXELS = png_chunk(b"IDAT", zlib.compress(bytes((3 * 64 + 1) * 48)))


def pixels_of(data: bytes) -> Pixels:
    image = open_image(data, LIMIT)
    return decode(image.data, image.header)


def with_chunk(chunk: bytes) -> bytes:
    """The figure with a chunk before its pixels."""
    plain = samples()["PNG"]
    return plain[:33] + chunk + plain[33:]


@pytest.mark.parametrize("kind", [b"IDAT", b"tEXt", b"acTL", b"PLTE", b"zzzz"])
@pytest.mark.parametrize("claims", [8, 2**31, 0xFFFFF000])
def test_a_chunk_cannot_be_longer_than_the_file(kind: bytes, claims: int) -> None:
    with pytest.raises(UndecodableImage, match=rf"chunk .* at byte 33 claims {claims:,} bytes; 0 follow"):
        read_png(png()[:8] + HEAD + png_chunk(kind, b"", claims))


def noise(size: int) -> bytes:
    return random.Random(0).randbytes(size)


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(noise(2**21))),
        png_chunk(b"iCCP", b"garbage"),
        png_chunk(b"zTXt", b"prompt\0\0" + zlib.compress(noise(2**20).hex().encode())),
        png_chunk(b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(bytes(2**26))),
        png_chunk(b"tEXt", b"prompt\0" + b"a" * 2**24),
        png_chunk(b"tEXt", b"")[:-4] + b"crc!",
        png_chunk(b"eXIf", noise(1000)),
        png_chunk(b"caBX", noise(10**7)),
        png_chunk(b"gAMA", struct.pack(">I", 1)),
        png_chunk(b"acTL", struct.pack(">II", 2**31, 0)),
        png_chunk(b"fcTL", bytes(3)),
        png_chunk(b"bKGD", bytes(77)),
        png_chunk(b"sBIT", bytes(77)),
    ],
    ids=lambda chunk: chunk[4:8].decode(),
)
def test_metadata_refuses_no_image_and_changes_no_pixel(chunk: bytes) -> None:
    assert (pixels_of(with_chunk(chunk)) == figure()).all()
    assert read_png(with_chunk(chunk)).data == samples()["PNG"]


@pytest.mark.parametrize("late", [png_chunk(b"tEXt", b"late"), png_chunk(b"tEXt", b"late", 2**31), b"\0\0", b""])
def test_damage_after_the_pixels_or_a_missing_end_refuse_no_image(late: bytes) -> None:
    assert (pixels_of(samples()["PNG"][:-12] + late) == figure()).all()


def test_exif_counts_before_the_pixels_and_not_after_them() -> None:
    early = encoded(Image.new("RGB", (40, 30), "red"), "PNG", exif=turned())
    start = early.index(b"eXIf") - 4
    length = 12 + struct.unpack(">I", early[start : start + 4])[0]
    end = early.index(b"IEND") - 4
    late = early[:start] + early[start + length : end] + early[start : start + length] + early[end:]
    assert read_png(early).orientation == 6
    assert read_png(late).orientation == 1
    assert pixels_of(late).shape == (30, 40, 3)


def test_an_animation_is_its_default_image() -> None:
    red, green = (Image.new("RGB", (40, 30), colour) for colour in ("red", "lime"))
    for options in ({}, {"default_image": True}):
        data = encoded(red, "PNG", save_all=True, append_images=[green, green], **options)
        contents = read_png(data)
        assert b"fdAT" not in contents.data
        assert (decode(contents.data, open_image(data, LIMIT).header) == (255, 0, 0)).all()


def test_transparent_colours_are_kept() -> None:
    assert b"tRNS" in read_png(samples()["PNG palette"]).data


@pytest.mark.parametrize(("side", "extra", "allowed"), [(64, 0, True), (64, 2**17, False), (2000, 2**17, True)])
def test_pixel_data_far_beyond_the_pixels_are_refused(side: int, extra: int, allowed: bool) -> None:
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    data = png(head, png_chunk(b"IDAT", zlib.compress(bytes((3 * side + 1) * side)) + bytes(extra)))
    if allowed:
        read_png(data)
    else:
        with pytest.raises(UndecodableImage, match="bytes of pixel data"):
            read_png(data)


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (48, 48)])
def test_incompressible_pixels_are_no_excess(level: int, size: tuple[int, int]) -> None:
    image = Image.frombytes("RGBA", size, noise(4 * size[0] * size[1]))
    read_png(encoded(image, "PNG", compress_level=level))


def test_what_inflates_for_long_gets_a_process_of_its_own() -> None:
    image = Image.frombytes("RGB", (640, 480), noise(3 * 640 * 480))
    assert read_png(encoded(image, "PNG")).slow
    assert read_png(samples()["PNG 16-bit"]).slow
    assert read_png(samples()["PNG interlaced"]).slow
    assert not read_png(encoded(Image.new("RGB", (640, 480)), "PNG")).slow


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        ([], "no pixels"),
        ([HEAD], "no pixels"),
        ([HEAD, png_chunk(b"IDAT", b"")], "no pixels"),
        ([PIXELS, HEAD], "does not begin with its one header"),
        ([HEAD, HEAD, PIXELS], "does not begin with its one header"),
        ([png_chunk(b"CgBI", bytes(4)), HEAD, PIXELS], "Xcode wrote it for iOS"),
        ([png_chunk(b"IHDR", bytes(12)), PIXELS], "header has 12 bytes, not 13"),
        ([png_chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 9, 8, 2, 0, 0, 0)), PIXELS], "claims 0×9 pixels"),
        ([png_chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 4, 2, 0, 0, 0)), PIXELS], "type 2, 4 bits"),
        ([png_chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 2)), PIXELS], "unknown compression"),
        ([HEAD, PIXELS, *[png_chunk(b"tEXt", b"")] * 100_000], "more than 100,000 chunks"),
    ],
)
def test_a_file_without_a_valid_header_and_pixels_is_refused(chunks: list[bytes], text: str) -> None:
    data = b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
    with pytest.raises(UndecodableImage, match=text):
        read_png(data)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (33, 17)])
def test_interlaced_images_are_read(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    assert (pixels_of(interlaced_png(pixels)) == pixels).all()
