import io
import struct

import numpy as np
import pytest
from fer_service.contract.errors import TooManyPixels, UndecodableImage
from fer_service.imaging.containers.ifd import read_directory
from fer_service.imaging.containers.tiff import read_tiff
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image
from PIL import Image, ImageOps

from tests.service.conftest import Pixels, encoded
from tests.service.imaging.samples import figure, samples, tiff, turned

LIMIT = 1_000_000
SHORT, LONG = 3, 4
RGB = {256: (LONG, 4), 257: (LONG, 2), 258: (SHORT, 8, 8, 8), 259: (SHORT, 1), 262: (SHORT, 2), 277: (SHORT, 3)}

LZW = {259: (SHORT, 5)}


def pixels_of(data: bytes) -> Pixels:
    image = open_image(data, LIMIT)
    return decode(image.data, image.header)


def build(tags: dict[int, tuple[int, ...]], pixels: bytes = bytes(24), next_at: int = 0) -> bytes:
    """A TIFF file; the pixels begin at byte 8. A tag is its type and its values."""
    tags = {273: (LONG, 8), 278: (LONG, 2), 279: (LONG, len(pixels)), **tags}
    body = pixels + bytes(len(pixels) % 2)
    entries, extra = [], b""
    start = 8 + len(body) + 2 + 12 * len(tags) + 4
    for tag, (kind, *values) in sorted(tags.items()):
        data = struct.pack(f"<{len(values)}{'H' if kind == SHORT else 'I'}", *values)
        if len(data) > 4:
            entries.append(struct.pack("<HHII", tag, kind, len(values), start + len(extra)))
            extra += data
        else:
            entries.append(struct.pack("<HHI", tag, kind, len(values)) + data.ljust(4, b"\0"))
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", next_at)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory + extra


def test_a_plain_file_is_read() -> None:
    rows = bytes(range(24))
    assert pixels_of(build(RGB, rows)).tobytes() == rows


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_the_size_is_that_of_the_upright_image(orientation: int) -> None:
    header = open_image(encoded(figure(), "TIFF", exif=turned(orientation)), LIMIT).header
    size = (96, 64) if orientation < 5 else (64, 96)
    assert (header.width, header.height, header.orientation) == (*size, orientation)


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("options", [{"tile": (32, 32)}, {"rowsperstrip": 16}, {"tile": (16, 64)}])
def test_tiles_and_strips_are_turned_as_a_whole(options: dict[str, object], orientation: int) -> None:
    stored = figure()[:60, :90]
    data = tiff(stored, extratags=[(274, 3, 1, orientation, True)], **options)
    with Image.open(io.BytesIO(data)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert (pixels_of(data) == upright).all()


@pytest.mark.parametrize("kind", ["unassalpha", "unspecified"])
@pytest.mark.parametrize("alpha", [0, 128, 255])
def test_transparency_is_ignored(alpha: int, kind: str) -> None:
    four = np.dstack([figure(), np.full(figure().shape[:2], alpha, np.uint8)])
    assert (pixels_of(tiff(four, extrasamples=[kind])) == figure()).all()


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg"])
@pytest.mark.parametrize("strip", [0, 2])
def test_a_damaged_strip_is_an_error(compression: str | None, strip: int) -> None:
    options: dict[str, object] = {"tiffinfo": {278: 16}} | ({"compression": compression} if compression else {})
    data = bytearray(encoded(figure(), "TIFF", **options))
    directory = read_directory(bytes(data))
    at, length = directory.values(273, 9)[strip], directory.values(279, 9)[strip]
    if compression is None:
        place = directory.entries[279][2] + strip * struct.calcsize(
            "I" if directory.entries[279][0] == LONG else "H"
        )
        data[place : place + 2] = (length - 1).to_bytes(2, "little")
    else:
        data[at : at + length] = bytes(length)
    with pytest.raises(UndecodableImage, match="TIFF image is truncated"):
        pixels_of(bytes(data))


def test_black_pixels_are_no_damage() -> None:
    black = np.zeros((40, 30, 3), np.uint8)
    for data in (encoded(black, "TIFF", compression="tiff_lzw"), tiff(black.astype(np.uint16)), tiff(black)):
        assert not pixels_of(data).any()


def test_other_pages_and_tags_are_left_out() -> None:
    data = encoded(
        figure(), "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))], icc_profile=b"x" * 999
    )
    assert 34675 in read_directory(data).entries
    directory = read_directory(read_tiff(data).data)
    assert 34675 not in directory.entries
    assert struct.unpack_from("<I", directory.data, directory.next_at) == (0,)
    assert (pixels_of(data) == figure()).all()


def test_thousands_of_tags_with_the_same_megabytes_take_no_memory() -> None:
    many = dict.fromkeys(range(40_000, 50_000), (LONG, 0))
    data = bytearray(build(RGB | many))
    at = read_directory(bytes(data)).next_at - 12 * 10_000
    for entry in range(at, at + 12 * 10_000, 12):
        struct.pack_into("<II", data, entry + 4, len(data) // 4, 0)
    assert len(read_directory(read_tiff(bytes(data)).data).entries) == 9


@pytest.mark.parametrize("loop", [True, False])
def test_a_chain_of_pages_does_not_matter(loop: bool) -> None:
    start = struct.unpack_from("<I", build(RGB), 4)[0]
    assert pixels_of(build(RGB, next_at=start if loop else 2**32 - 1)).shape == (2, 4, 3)


def tiles(width: int, height: int) -> dict[int, tuple[int, ...]]:
    return RGB | LZW | {322: (LONG, width), 323: (LONG, height), 324: (LONG, 8), 325: (LONG, 24)}


@pytest.mark.parametrize(
    ("width", "height", "allowed"),
    [
        (16, 16, True),
        (256, 256, True),
        (16_000, 16_000, False),
        (16, 2**31, False),
        (0, 16, False),
        (16, 0, False),
    ],
)
def test_a_tile_is_not_much_larger_than_the_image(width: int, height: int, allowed: bool) -> None:
    if allowed:
        assert read_tiff(build(tiles(width, height))).buffers == width * height * 7 + 24
    else:
        with pytest.raises(UndecodableImage, match=f"4×2 pixels claims tiles of {width}×{height}"):
            read_tiff(build(tiles(width, height)))


def test_strips_and_tiles_count_in_memory() -> None:
    def per_pixel(data: bytes) -> float:
        return read_tiff(data).buffers / (96 * 64)

    # As RGBA, decompressed, and as in the file.
    assert per_pixel(tiff(figure(), rowsperstrip=64)) == 4 + 3 + 3
    assert per_pixel(tiff(figure(), rowsperstrip=8)) == (4 + 3 + 3) / 8
    assert per_pixel(tiff(figure().astype(np.uint16), rowsperstrip=64)) == 4 + 6 + 6
    assert per_pixel(tiff(figure(), tile=(32, 32))) == (4 + 3 + 3) / 6


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ({256: (LONG, 0)}, "0×2 pixels"),
        ({258: (SHORT, 8, 8, 16)}, "8, 16 bits per sample"),
        ({258: (SHORT, 32, 32, 32)}, "32 bits per sample is not supported; send 8 bits"),
        ({339: (SHORT, 3, 3, 3)}, "floats"),
        (
            {277: (SHORT, 7)},
            "7 samples .* send RGB, CMYK or grey, with at most one",
        ),
        ({279: (LONG, 23), 256: (LONG, 334)}, "strip 1 needs 2,004 bytes"),
        ({262: (SHORT, 32845)}, "colour type 32845"),
        ({259: (SHORT, 6)}, "old-style JPEG is not supported; send"),
        ({259: (SHORT, 50000)}, "Zstandard"),
        ({259: (SHORT, 12345)}, "compression 12345"),
        ({279: (LONG, 2**31)}, "end beyond its"),
        ({273: (LONG, 2**31)}, "end beyond its"),
        ({278: (LONG, 1)}, "needs 2 strips or tiles; it has 1"),
        ({284: (SHORT, 2)}, "needs 3 strips or tiles; it has 1"),
        ({278: (LONG, 1), 273: (LONG, 8, 20)}, "needs 2 lengths of strips"),
        (
            {256: (LONG, 3), 278: (LONG, 1), 273: (LONG, *[8] * 99), 279: (LONG, *[700] * 99)},
            "strips claim 69,300",
        ),
        ({50706: (LONG, 1)}, "camera raw"),
    ],
)
def test_the_tags_must_fit_the_bytes(tags: dict[int, tuple[int, ...]], text: str) -> None:
    with pytest.raises(UndecodableImage, match=text):
        read_tiff(build(RGB | tags, bytes(1000) if 256 in tags and tags[256][1] else bytes(24)))


def test_too_many_pixels_are_refused() -> None:
    with pytest.raises(TooManyPixels):
        open_image(build(RGB | LZW | {256: (LONG, 2**20), 257: (LONG, 2**20), 278: (LONG, 2**20)}), LIMIT)


@pytest.mark.parametrize(
    "change",
    [(4, b"\xff\xff\xff\x7f"), (4, bytes(4)), (32, b"\xff\xff"), (36, b"\x04\0\xff\xff\xff\xff"), (2, b"\x2b\0")],
)
def test_a_directory_beyond_the_file_is_refused(change: tuple[int, bytes]) -> None:
    data = bytearray(build(RGB))
    data[change[0] : change[0] + len(change[1])] = change[1]
    with pytest.raises(UndecodableImage):
        open_image(bytes(data), LIMIT)


@pytest.mark.parametrize("name", [name for name in samples() if name.startswith("TIFF")])
def test_what_reaches_the_decoder_shows_the_same(name: str) -> None:
    contents = read_tiff(samples()[name])
    assert len(contents.data) == len(samples()[name])
    assert pixels_of(contents.data).shape[2] == 3


def test_signed_types_count_too() -> None:
    directory = read_directory(build(RGB))
    kind, count, _ = directory.entries[277]
    data = bytearray(directory.data)
    place = data.index(struct.pack("<HHI", 277, kind, count))
    data[place + 2 : place + 4] = struct.pack("<H", 8)  # SSHORT
    assert read_directory(bytes(data)).value(277, 1) == 3
