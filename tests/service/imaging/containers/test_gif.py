import struct

import pytest
from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.gif import read_gif
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image

from tests.service.conftest import Pixels
from tests.service.imaging.samples import samples


def pixels_of(data: bytes) -> Pixels:
    image = open_image(data, 1_000_000)
    return decode(image.data, image.header)


def gif(width: int, height: int, *blocks: bytes, background: int = 0) -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0x80, background, 0)
        + b"\xff\0\0\0\0\xff"
        + b"".join(blocks)
    )


def image(left: int, top: int, width: int, height: int) -> bytes:
    """One pixel of colour 0, whatever the size claims."""
    return b"," + struct.pack("<HHHHB", left, top, width, height, 0) + b"\x02\x02\x44\x01\0"


def test_only_the_first_image_reaches_the_decoder() -> None:
    data = samples()["GIF animated"]
    cut = read_gif(data).data
    assert len(cut) < len(data) / 2
    assert cut[-1:] == b";"
    assert (pixels_of(data) == pixels_of(samples()["GIF"])).all()


def test_what_follows_the_first_image_may_be_damaged() -> None:
    data = samples()["GIF animated"]
    assert (pixels_of(data[: len(data) // 2]) == pixels_of(samples()["GIF"])).all()


def test_a_screen_smaller_than_its_image_grows() -> None:
    contents = read_gif(gif(0, 0, image(2, 3, 1, 1)))
    assert (contents.width, contents.height) == (3, 4)
    assert (pixels_of(gif(0, 0, image(2, 3, 1, 1)))[3, 2] == (255, 0, 0)).all()


def test_an_invalid_background_is_ignored() -> None:
    assert pixels_of(gif(1, 1, image(0, 0, 1, 1), b";", background=200)).shape == (1, 1, 3)


def test_comments_are_left_out_and_transparency_is_kept() -> None:
    control = b"!\xf9\4\1\0\0\0\0"
    contents = read_gif(
        gif(1, 1, b"!\xfe\5hello\0", control, b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0", image(0, 0, 1, 1))
    )
    assert contents.data == gif(1, 1, control, image(0, 0, 1, 1), b";")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (gif(1, 1, b";"), "contains no image"),
        (gif(1, 1, image(0, 0, 0, 1)), "0×1 pixels"),
        (gif(1, 1, image(65535, 0, 1, 1)), "the format allows 65,535"),
        (gif(1, 1)[:15], "colour table ends beyond the file"),
        (gif(1, 1, image(0, 0, 1, 1)[:-2]), "truncated"),
        (gif(1, 1, b"!\xfe\xff"), "truncated"),
        (gif(1, 1), "truncated"),
        (gif(1, 1, b"!\xfe\0" * 20_000), "contains no image"),
        (gif(1, 1, b"!\xfe" + b"\1a" * 600_000), "more than 500,000 blocks"),
    ],
)
def test_blocks_must_fit(data: bytes, text: str) -> None:
    with pytest.raises(UndecodableImage, match=text):
        open_image(data, 1000)
