import struct

import numpy as np
import pytest
from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.av1 import coded_size
from fer_service.imaging.containers.avif import read_avif
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image
from PIL import Image

from tests.service.conftest import Pixels, encoded
from tests.service.imaging.samples import figure, samples, translucent, turned

LIMIT = 1_000_000


def pixels_of(data: bytes) -> Pixels:
    image = open_image(data, LIMIT)
    return decode(image.data, image.header)


def changed(name: str, old: bytes, new: bytes) -> bytes:
    assert old in samples()[name]
    return samples()[name].replace(old, new)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_that_of_the_properties(orientation: int) -> None:
    data = encoded(figure(), "AVIF", exif=turned(orientation))
    assert read_avif(data).orientation == orientation


def test_transparency_and_metadata_reach_no_decoder() -> None:
    image = translucent()
    data = encoded(image, "AVIF", exif=turned(1), xmp=b"<x/>", quality=95, subsampling="4:4:4")
    cut = read_avif(data).data
    assert len(cut) == len(data)
    for kind in (b"auxl", b"mime"):
        assert kind in data
        assert kind not in cut
    assert cut.count(b"Exif") == data.count(b"Exif") - 1  # its type, not its content
    assert np.abs(pixels_of(data).astype(int) - np.asarray(image)[:, :, :3]).mean() < 3


def test_metadata_beyond_the_file_refuses_no_image() -> None:
    data = bytearray(samples()["AVIF EXIF"])
    at = data.index(b"iloc") + 4
    count = struct.unpack_from(">H", data, at + 6)[0]
    assert count == 2
    struct.pack_into(">I", data, at + 8 + 14 + 6, 2**31)  # where the second item, EXIF, begins
    assert (pixels_of(bytes(data)) == pixels_of(samples()["AVIF EXIF"])).all()


def test_a_sequence_is_its_still_image() -> None:
    data = samples()["AVIF animated"]
    assert data[8:12] == b"avis"
    assert read_avif(data).data[8:12] == b"avif"
    assert np.abs(pixels_of(data).astype(int) - figure()).mean() < 4


@pytest.mark.parametrize("size", [(8, 8), (96, 65), (7000, 7000), (65536, 65536)])
def test_the_size_is_that_of_the_coded_data(size: tuple[int, int]) -> None:
    data = changed("AVIF", struct.pack(">II", 96, 64), struct.pack(">II", *size))
    with pytest.raises(UndecodableImage, match=f"claims {size[0]}×{size[1]} pixels, its AV1 data 96×64"):
        open_image(data, LIMIT)


@pytest.mark.parametrize("box", [b"pitm", b"iloc", b"av1C", b"ispe", b"iinf", b"iprp", b"meta"])
def test_an_image_without_its_description_is_undecodable(box: bytes) -> None:
    with pytest.raises(UndecodableImage):
        open_image(changed("AVIF", box, b"free"), LIMIT)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("name", ["AVIF", "AVIF alpha", "AVIF 10-bit"])
def test_a_truncated_file_is_refused_before_it_is_decoded(name: str, keep: float) -> None:
    data = samples()[name]
    with pytest.raises(UndecodableImage):
        open_image(data[: int(len(data) * keep)], LIMIT)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def item(number: int, kind: bytes) -> bytes:
    return box(b"infe", struct.pack(">IHH", 2 << 24, number, 0) + kind + b"\0")


def grid(columns: int, rows: int, size: tuple[int, int], tiles: int | None = None, side: int = 64) -> bytes:
    """An image of square tiles that all have the same data."""
    tile = encoded(Image.new("RGB", (side, side), "red"), "AVIF")
    start = tile.index(b"mdat") + 4
    config = tile[tile.index(b"av1C") - 4 :][:12]
    tiles = columns * rows if tiles is None else tiles
    numbers = range(2, 2 + tiles)
    description = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size)
    mdat = box(b"mdat", description + tile[start:])
    properties = box(b"ispe", bytes(4) + struct.pack(">II", *size)) + box(
        b"ispe", bytes(4) + struct.pack(">II", side, side)
    )
    uses = struct.pack(">HBB", 1, 1, 1) + b"".join(struct.pack(">HBBB", number, 2, 2, 3) for number in numbers)

    def meta(at: int) -> bytes:
        places = [(1, at, len(description))] + [(n, at + 8, len(tile) - start) for n in numbers]
        extents = b"".join(struct.pack(">HHHII", number, 0, 1, *place) for number, *place in places)
        return box(
            b"meta",
            bytes(4)
            + box(b"hdlr", bytes(8) + b"pict" + bytes(13))
            + box(b"pitm", struct.pack(">IH", 0, 1))
            + box(b"iloc", struct.pack(">IBBH", 0, 0x44, 0, 1 + tiles) + extents)
            + box(
                b"iinf",
                struct.pack(">IH", 0, 1 + tiles) + item(1, b"grid") + b"".join(item(n, b"av01") for n in numbers),
            )
            + box(b"iref", bytes(4) + box(b"dimg", struct.pack(f">HH{tiles}H", 1, tiles, *numbers)))
            + box(
                b"iprp",
                box(b"ipco", properties + config) + box(b"ipma", struct.pack(">II", 0, 1 + tiles) + uses),
            ),
        )

    start_of_file = box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")
    return start_of_file + meta(len(start_of_file) + len(meta(0)) + 8) + mdat


def test_an_image_of_tiles_is_read() -> None:
    pixels = pixels_of(grid(2, 2, (128, 100)))
    assert pixels.shape == (100, 128, 3)
    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() < 6
    assert open_image(grid(2, 2, (128, 100)), LIMIT).header.kind == "AVIF 128×100, 4 tiles"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (grid(2, 2, (128, 100), tiles=3), "2×2 tiles has 3"),
        (grid(1, 1, (640, 640)), "do not fit 640×640"),
        (grid(2, 2, (10, 10)), "do not fit 10×10"),
        (grid(50, 50, (3200, 3200)), "50×50 tiles has 2500 of them; the maximum is"),
    ],
)
def test_tiles_must_fit_the_image(data: bytes, text: str) -> None:
    with pytest.raises(UndecodableImage, match=text):
        open_image(data, 10**8)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (b"infe\2\0\0\0\0\1\0\0av01", b"infe\2\0\0\0\0\1\0\0hvc1", "unsupported type 'hvc1'"),
        (b"hdlr", b"pitm", "two boxes pitm"),
        (b"mdat", b"\0\0\0\0", None),
    ],
)
def test_boxes_must_make_sense(old: bytes, new: bytes, text: str | None) -> None:
    data = changed("AVIF", old, new)
    if text is None:
        read_avif(data)
    else:
        with pytest.raises(UndecodableImage, match=text):
            read_avif(data)


def test_tables_are_short() -> None:
    data = samples()["AVIF"]
    many = box(b"ftyp", b"avif\0\0\0\0avif") + box(b"free", b"") * 20_000
    with pytest.raises(UndecodableImage, match="more than 10,000 boxes"):
        read_avif(many + data)
    at = data.index(b"ipma") + 8
    with pytest.raises(UndecodableImage, match="more than 20,000 items"):
        read_avif(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :])


def bits(*fields: tuple[int, int]) -> bytes:
    text = "".join(f"{value:0{count}b}" for value, count in fields)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


SIZE = ((9, 4), (9, 4), (639, 10), (479, 10))


@pytest.mark.parametrize(
    "header",
    [
        bits((0, 3), (1, 1), (1, 1), (4, 5), *SIZE),
        bits((0, 3), (0, 1), (0, 1), (0, 1), (0, 1), (0, 5), (0, 12), (4, 5), *SIZE),
        bits(
            (0, 3), (0, 1), (0, 1), (0, 1), (1, 1), (1, 5), *(((0, 12), (9, 5), (1, 1), (1, 1), (3, 4)) * 2), *SIZE
        ),
        bits(
            *((0, 3), (0, 1), (0, 1), (1, 1), (1, 32), (25, 32), (1, 1), (1, 3), (0, 0 + 2), (1, 1)),
            *((9, 5), (1, 32), (0, 10), (0, 1), (0, 5), (0, 12), (4, 5), (1, 1), (0, 21), *SIZE),
        ),
    ],
)
@pytest.mark.parametrize("before", [b"", b"\x12\0", b"\x16\0\1x"])
def test_the_size_stands_in_every_form_of_sequence_header(header: bytes, before: bytes) -> None:
    assert coded_size(before + b"\x0a" + bytes([len(header)]) + header) == (640, 480)
    assert coded_size(before + b"\x08" + header) == (640, 480)


@pytest.mark.parametrize("stream", [b"", b"\x12\0", b"\x12\0" * 100, b"\x0a\1\0", b"\x0a\x7f", b"\x0a"])
def test_a_stream_without_a_size_is_refused(stream: bytes) -> None:
    with pytest.raises((UndecodableImage, IndexError)):
        coded_size(stream)
