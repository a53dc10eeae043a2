import io
import struct

import numpy as np
import pytest
from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.webp import read_webp
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image
from PIL import Image

from tests.service.conftest import Pixels, encoded
from tests.service.imaging.samples import figure, riff, samples, translucent, turned, webp_frame

LIMIT = 1_000_000


def pixels_of(data: bytes) -> Pixels:
    image = open_image(data, LIMIT)
    return decode(image.data, image.header)


def still(canvas: tuple[int, int], *chunks: tuple[bytes, bytes]) -> bytes:
    extent = b"".join((side - 1).to_bytes(3, "little") for side in canvas)
    return riff((b"VP8X", bytes(4) + extent), *chunks)


def frame_of(name: str) -> tuple[bytes, bytes]:
    data = samples()[name]
    (size,) = struct.unpack_from("<I", data, 16)
    return data[12:16], data[20 : 20 + size]


def test_transparency_of_a_lossy_image_is_left_out() -> None:
    data = encoded(translucent(), "WEBP", exact=True)
    assert b"ALPH" in data
    assert b"ALPH" not in read_webp(data).data
    whole = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.abs(pixels_of(data).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("lossless", [True, False])
def test_an_animation_is_its_first_frame(lossless: bool) -> None:
    frames = [Image.fromarray(figure()), Image.new("RGB", (96, 64), "red")]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=lossless)
    contents = read_webp(data)
    assert b"ANMF" not in contents.data
    assert (pixels_of(data) == np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).all()


def test_a_first_frame_that_leaves_a_border_is_shown_within_the_canvas() -> None:
    contents = read_webp(samples()["WebP part"])
    assert (contents.width, contents.height, contents.slow) == (112, 80, True)
    pixels = pixels_of(samples()["WebP part"])
    assert (pixels[8:72, 6:102] == figure()).all()
    assert not pixels[:8].any()


@pytest.mark.parametrize(
    ("metadata", "orientation"),
    [
        ((b"EXIF", turned(6).tobytes()), 6),
        ((b"EXIF", turned(6).tobytes()[6:]), 6),
        ((b"EXIF", b"garbage"), 1),
        ((b"XMP ", b'<x tiff:Orientation="8"/>'), 8),
        ((b"ICCP", b"garbage" * 10**5), 1),
        ((b"JUNK", b""), 1),
    ],
)
def test_metadata_turns_an_image_and_refuses_none(metadata: tuple[bytes, bytes], orientation: int) -> None:
    data = still((96, 64), metadata, frame_of("WebP"), metadata)
    contents = read_webp(data)
    assert contents.orientation == orientation
    assert contents.data == samples()["WebP"]


def test_small_images_are_read() -> None:
    for image in (Image.new("RGB", (1, 1), "red"), Image.new("RGBA", (1, 1), "red")):
        data = encoded(image, "WEBP", lossless=True, exif=turned())
        assert (pixels_of(data) == (255, 0, 0)).all()


def test_lossless_images_whose_prefix_codes_may_take_100_mb_get_a_process_of_their_own() -> None:
    data = encoded(Image.new("RGB", (300, 300)), "WEBP", lossless=True)
    assert open_image(data, LIMIT).header.isolated
    assert not open_image(encoded(Image.new("RGB", (600, 600)), "WEBP"), LIMIT).header.isolated


LOSSY, LOSSLESS = frame_of("WebP"), frame_of("WebP lossless")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (riff(), "contains no image"),
        (riff((b"JUNK", b"")), "contains no image"),
        (samples()["WebP"][:100], "claims"),
        (riff((b"VP8 ", LOSSY[1][:100])), "truncated in its first partition"),
        (riff((b"VP8 ", b"\x11" + LOSSY[1][1:])), "key frame"),
        (riff((b"VP8 ", LOSSY[1][:6] + bytes(4) + LOSSY[1][10:])), "0×0 pixels"),
        (riff((b"VP8L", b"x" + LOSSLESS[1][1:])), "does not begin with its signature"),
        (still((96, 65), LOSSY), "canvas has 96×65 pixels, its image 96×64"),
        (still((16384, 16384), LOSSLESS), "canvas has 16384×16384 pixels, its image 96×64"),
        (webp_frame(figure(), (90, 64)), "exceeds the canvas"),
        (webp_frame(figure(), (96, 64)).replace(b"\x5f\0\0\x3f\0\0\x64", b"\x2f\0\0\x3f\0\0\x64"), "claims 48×64"),
        (
            riff((b"VP8X", b"\x02\0\0\0\x5f\0\0\x3f\0\0"), (b"ANMF", bytes(16))),
            "first WebP frame contains no image",
        ),
        (riff((b"VP8X", bytes(10)), *[(b"JUNK", b"")] * 100_000), "more than 100,000 chunks"),
        (
            b"RIFF" + struct.pack("<I", 20) + b"WEBPVP8 " + struct.pack("<I", 2**31) + bytes(8),
            "claims 2,147,483,648",
        ),
    ],
)
def test_sizes_must_agree(data: bytes, text: str) -> None:
    with pytest.raises(UndecodableImage, match=text):
        read_webp(data)
