import struct

import numpy as np
import pytest
from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.jpeg import MAX_SCANS, read_jpeg
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image
from PIL import Image

from tests.service.conftest import Pixels, encoded
from tests.service.imaging.samples import figure, samples, turned

LIMIT = 1_000_000


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 255, marker, len(content) + 2) + content


def after_start(data: bytes, *segments: bytes) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


def pixels_of(data: bytes) -> Pixels:
    image = open_image(data, LIMIT)
    return decode(image.data, image.header)


def bomb(scans: int) -> bytes:
    """A progressive file whose last scan is there several times."""
    data = samples()["JPEG progressive grey"]
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (scans - 6) + b"\xff\xd9"


def test_many_scans_are_refused_before_they_are_decoded() -> None:
    assert read_jpeg(bomb(MAX_SCANS)).detail == f"progressive, {MAX_SCANS} scans"
    assert read_jpeg(bomb(MAX_SCANS)).slow
    with pytest.raises(UndecodableImage, match="more than 100 scans; send it as baseline JPEG"):
        read_jpeg(bomb(MAX_SCANS + 1))


def test_marker_bytes_within_segments_are_no_scans() -> None:
    data = samples()["JPEG progressive"]
    start = data.rindex(b"\xff\xc4")
    assert read_jpeg(data[:start] + segment(0xFE, b"\xff\xda" * 500) + data[start:]).detail.endswith("10 scans")


@pytest.mark.parametrize(
    ("name", "bytes_per_pixel"), [("JPEG", 0), ("JPEG progressive", 3), ("JPEG progressive grey", 2)]
)
def test_coefficients_of_several_scans_are_kept_in_memory(name: str, bytes_per_pixel: int) -> None:
    assert read_jpeg(samples()[name]).buffers == bytes_per_pixel * 96 * 64


@pytest.mark.parametrize("rest", [b"", b"\xff", bytes(9), b"\xff" + bytes(9)])
@pytest.mark.parametrize("name", [name for name in samples() if name.startswith("JPEG")])
def test_an_image_that_lacks_its_end_marker_alone_is_read(name: str, rest: bytes) -> None:
    whole = samples()[name]
    without = whole[:-2] + rest
    assert open_image(without, LIMIT).header.unterminated
    assert (pixels_of(without) == pixels_of(whole)).all()


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("name", [name for name in samples() if name.startswith("JPEG")])
def test_an_image_that_lacks_pixels_is_truncated(name: str, keep: float) -> None:
    data = samples()[name]
    with pytest.raises(UndecodableImage, match=r"truncated|claims|ends before"):
        pixels_of(data[: int(len(data) * keep)])


@pytest.mark.parametrize("end", [bytes(9999), b"\xff\xd9"])
@pytest.mark.parametrize("name", ["JPEG", "JPEG 4:4:4", "JPEG grey", "JPEG CMYK"])
@pytest.mark.parametrize("keep", [0.5, 0.7])
def test_missing_pixels_are_noticed_whatever_follows(name: str, end: bytes, keep: float) -> None:
    data = samples()[name]
    with pytest.raises(UndecodableImage, match="truncated"):
        pixels_of(data[: int(len(data) * keep)] + end)


@pytest.mark.parametrize("quality", [40, 95])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_border_is_not_taken_for_missing_pixels(level: int, quality: int) -> None:
    pixels = figure().copy()
    pixels[-24:] = level
    data = encoded(pixels, "JPEG", quality=quality, optimize=True)
    for whole in (data, data + data, data + bytes(999), data[:-2]):
        assert np.abs(pixels_of(whole).astype(int) - pixels).mean() < 20


def test_an_image_cut_at_a_restart_marker_is_truncated() -> None:
    data = samples()["JPEG restarts"]
    cut = [at for at in range(len(data) - 1) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7][-1]
    for rest in (b"", data[cut : cut + 2]):
        with pytest.raises(UndecodableImage, match="truncated"):
            pixels_of(data[:cut] + rest)


@pytest.mark.parametrize("width", [1, 8, 17, 40])
def test_images_of_any_size_may_lack_the_end_marker(width: int) -> None:
    noise = np.random.default_rng(width).integers(0, 255, (23, width, 3), np.uint8)
    for options in ({}, {"progressive": True}, {"restart_marker_rows": 1}):
        data = encoded(noise, "JPEG", **options)
        assert (pixels_of(data[:-2]) == pixels_of(data)).all()


@pytest.mark.parametrize(
    ("metadata", "orientation"),
    [
        (segment(0xE1, b"Exif\0\0" + turned(8).tobytes()[6:]), 8),
        (segment(0xE1, b"Exif\0\0garbage"), 1),
        (segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"), 1),
        (segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation='1'/>"), 1),
        (segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="3"/>'), 3),
        (segment(0xE2, b"ICC_PROFILE\0\x05\0garbage"), 1),
        (segment(0xFE, b"comment" * 9000), 1),
        (segment(0xED, b"Photoshop 3.0\x008BIM\xff\xff"), 1),
    ],
)
def test_metadata_turns_an_image_and_refuses_none(metadata: bytes, orientation: int) -> None:
    plain = samples()["JPEG"]
    image = open_image(after_start(plain, *[metadata] * 5), LIMIT)
    assert image.header.orientation == orientation
    stored = {1: None, 3: Image.Transpose.ROTATE_180, 8: Image.Transpose.ROTATE_90}[orientation]
    expected = Image.fromarray(pixels_of(plain))
    assert (
        decode(image.data, image.header) == np.asarray(expected.transpose(stored) if stored else expected)
    ).all()


def test_the_first_of_several_images_counts() -> None:
    small = encoded(Image.new("RGB", (16, 16), "red"), "JPEG", exif=turned())
    header = open_image(samples()["MPO"] + small, LIMIT).header
    assert (header.width, header.height, header.orientation) == (96, 64, 1)


@pytest.mark.parametrize(
    ("marker", "text"),
    [(0xC3, "lossless JPEG is not supported"), (0xC5, "hierarchical"), (0xC9, "arithmetic"), (0xCA, "arithmetic")],
)
def test_kinds_that_no_browser_shows_are_named(marker: int, text: str) -> None:
    data = samples()["JPEG"].replace(b"\xff\xc0", bytes([0xFF, marker]))
    with pytest.raises(UndecodableImage, match=f"{text}.*send it as baseline"):
        read_jpeg(data)


def frame(depth: int = 8, height: int = 64, width: int = 96, components: int = 1, sampling: int = 0x11) -> bytes:
    parts = b"".join(bytes([number, sampling, 0]) for number in range(components))
    return segment(0xC0, struct.pack(">BHHB", depth, height, width, components) + parts)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (frame(depth=12), "12 bits per sample"),
        (frame(height=0), "96×0 pixels"),
        (frame(components=2), "2 components"),
        (frame(sampling=0x51), "sampling factors"),
        (frame() + frame(), "two frames"),
        (segment(0xDA, b"\1\0\0\0\x3f\0"), "no component"),
        (frame() + segment(0xDA, b"\1\7\0\0\x3f\0"), "no component"),
        (b"\xff\xe1\xff\xff", "segment E1 at byte 2 claims 65,535 bytes"),
        (b"\xff\xe1\0\1", "claims 1 bytes"),
        (segment(0xFE, b"") * 20_000, "more than 10,000 segments"),
        (frame(), "ends before its image"),
        (b"\xff\xd9", "ends before its image"),
    ],
)
def test_a_frame_must_make_sense(data: bytes, text: str) -> None:
    with pytest.raises(UndecodableImage, match=text):
        read_jpeg(b"\xff\xd8" + data)


@pytest.mark.parametrize("fill", [b"\xff" * 999, b"\0" * 999, b"\xff\0" * 999, b"\xff\xd0" * 99])
def test_bytes_between_segments_are_skipped(fill: bytes) -> None:
    assert read_jpeg(after_start(samples()["JPEG"], b"\xff", fill)).width == 96


def test_the_scans_of_a_sequential_image_are_counted_too() -> None:
    contents = read_jpeg(samples()["JPEG three scans"])
    assert contents.detail == "3 scans"
    assert contents.buffers == 2 * 3 * 96 * 64
