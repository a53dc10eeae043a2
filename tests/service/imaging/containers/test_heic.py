import struct

import numpy as np
import pytest
from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.heic import is_heic, read_heic
from fer_service.imaging.containers.hevc import coded_frame
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image

from tests.service.conftest import Pixels
from tests.service.imaging.heic import aperture, coded, heic, mirror, turn
from tests.service.imaging.samples import figure

SIZE = (96, 64)


def pixels_of(data: bytes) -> Pixels:
    image = open_image(data, 10**7)
    assert image.header.isolated
    return decode(image.data, image.header)


def difference(pixels: Pixels, wanted: Pixels) -> float:
    assert pixels.shape == wanted.shape
    return float(np.abs(pixels.astype(int) - wanted).mean())


def plain(*properties: bytes, size: tuple[int, int] = SIZE, brand: bytes = b"heic") -> bytes:
    return heic([coded(figure())], size, properties=properties, brand=brand)


@pytest.mark.parametrize("depth", [8, 10])
def test_an_image_is_read(depth: int) -> None:
    data = heic([coded(figure(), depth)], SIZE)
    assert difference(pixels_of(data), figure()) < 3
    assert open_image(data, 10**7).header.kind == ("HEIC" if depth == 8 else "HEIC of 10 or 12 bits") + " 96×64"


def test_an_image_without_colours_is_grey() -> None:
    pixels = pixels_of(heic([coded(figure(), grey=True)], SIZE))
    assert pixels.shape == (64, 96, 3)
    assert (pixels[:, :, 0] == pixels[:, :, 2]).all()


@pytest.mark.parametrize("steps", range(4))
def test_the_image_is_turned_as_its_property_says(steps: int) -> None:
    data = plain(turn(steps))
    header = open_image(data, 10**7).header
    assert (header.width, header.height) == (SIZE if steps % 2 == 0 else SIZE[::-1])
    assert difference(pixels_of(data), np.rot90(figure(), steps)) < 3


def test_the_image_is_mirrored_after_it_was_turned() -> None:
    assert difference(pixels_of(plain(turn(1), mirror(0))), np.rot90(figure())[::-1]) < 3
    assert difference(pixels_of(plain(mirror(1))), figure()[:, ::-1]) < 3


def test_the_image_is_cropped_before_it_is_turned() -> None:
    assert difference(pixels_of(plain(aperture(64, 32), turn(3))), np.rot90(figure()[16:48, 16:80], 3)) < 4


def test_a_phone_s_image_of_tiles_is_read() -> None:
    tiles = [coded(figure())] * 4
    data = heic(tiles, (187, 121), SIZE, columns=2, properties=(turn(3),), exif=b"MM\0*\0\0\0\x08\0\0")
    assert open_image(data, 10**7).header.kind == "HEIC 121×187, 4 tiles"
    assert difference(pixels_of(data), np.rot90(np.tile(figure(), (2, 2, 1))[:121, :187], 3)) < 5


def test_the_size_is_that_of_the_shown_part_of_the_coded_data() -> None:
    pixels = np.ascontiguousarray(figure()[:50, :70])
    assert difference(pixels_of(heic([coded(pixels)], (70, 50))), pixels) < 4


def test_transparency_and_metadata_reach_no_decoder() -> None:
    data = heic([coded(figure())], SIZE, alpha=coded(figure(), grey=True), exif=b"Maker")
    cut = read_heic(data).data
    assert len(cut) == len(data)
    assert b"auxl" in data
    assert b"auxl" not in cut
    assert b"infe\2\0\0\0\0\3\0\0Exif" in data
    assert b"infe\2\0\0\0\0\3\0\0Exif" not in cut
    assert difference(pixels_of(data), figure()) < 3


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1", b"heim"])
def test_every_brand_is_read(brand: bytes) -> None:
    assert is_heic(plain(brand=brand))
    assert pixels_of(plain(brand=brand)).shape == (64, 96, 3)


@pytest.mark.parametrize("size", [(8, 8), (96, 65), (65536, 65536)])
def test_the_size_must_be_that_of_the_coded_data(size: tuple[int, int]) -> None:
    with pytest.raises(UndecodableImage, match=rf"claims {size[0]}×{size[1]} pixels, its HEVC data 96×64"):
        read_heic(plain(size=size))


@pytest.mark.parametrize("box", [b"pitm", b"iloc", b"hvcC", b"ispe", b"iinf", b"iprp", b"meta", b"hvc1"])
def test_an_image_without_its_description_is_undecodable(box: bytes) -> None:
    with pytest.raises(UndecodableImage):
        open_image(plain().replace(box, b"free"), 10**7)


@pytest.mark.parametrize("keep", [0.1, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_refused_before_it_is_decoded(keep: float) -> None:
    data = plain()
    with pytest.raises(UndecodableImage):
        open_image(data[: int(len(data) * keep)], 10**7)


def test_an_aperture_without_a_denominator_is_damaged() -> None:
    with pytest.raises(UndecodableImage, match="clean aperture"):
        read_heic(plain(aperture(64, 32).replace(struct.pack(">I", 1), bytes(4))))


def test_tiles_must_fit_the_image() -> None:
    with pytest.raises(UndecodableImage, match="2×1 tiles of 96×64 pixels do not fit 640×640"):
        read_heic(heic([coded(figure())] * 2, (640, 640), SIZE, columns=2))


def configuration(unit: bytes, kind: int = 33) -> bytes:
    return bytes(22) + b"\1" + bytes([kind]) + struct.pack(">HH", 1, len(unit)) + unit


def sequence_parameters(bits: str) -> bytes:
    """A unit whose bits after the profile are these, with the bytes that keep start codes away."""
    text = "0" * (4 + 3 + 1 + 88 + 8) + bits
    text += "0" * (-len(text) % 8)
    content = int(text, 2).to_bytes(len(text) // 8, "big")
    protected, zeros = bytearray(), 0
    for byte in content:
        if zeros >= 2 and byte <= 3:
            protected.append(3)
            zeros = 0
        protected.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return configuration(b"\x42\1" + protected)


def golomb(*values: int) -> str:
    return "".join(f"{value + 1:b}".rjust(2 * (value + 1).bit_length() - 1, "0") for value in values)


def test_the_margin_counts_in_samples_of_chroma() -> None:
    frame = coded_frame(sequence_parameters(golomb(0, 1, 640, 480) + "1" + golomb(1, 2, 3, 4) + golomb(2)))
    assert (frame.width, frame.height, frame.margin, frame.depth) == (634, 466, 14, 10)
    frame = coded_frame(sequence_parameters(golomb(0, 3) + "0" + golomb(640, 480) + "1" + golomb(1, 2, 0, 1, 0)))
    assert (frame.width, frame.height, frame.margin, frame.depth) == (637, 479, 3, 8)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (configuration(b"", kind=34), "no sequence header"),
        (configuration(b"\x42\1\1"), "truncated"),
        (sequence_parameters("0" * 80), "damaged|truncated"),
        (sequence_parameters(golomb(0, 9)), "damaged"),
    ],
)
def test_damaged_parameters_are_undecodable(data: bytes, text: str) -> None:
    with pytest.raises(UndecodableImage, match=text):
        coded_frame(data)


def test_an_image_that_is_mostly_hidden_is_refused() -> None:
    """A decoder takes memory for what is coded, however little is shown."""
    shown, all_of_it = (golomb(0, 1, 16384, 16384), "1" + golomb(0, 8144, 0, 8160, 0))
    hidden = sequence_parameters(shown + all_of_it)
    part = coded(figure())
    claimed = type(part)(struct.pack(">I", len(hidden) + 8) + b"hvcC" + hidden, part.data)
    with pytest.raises(UndecodableImage, match="HEVC data 96×64 and 16320 more"):
        read_heic(heic([claimed], SIZE))


def test_a_file_in_which_the_decoder_sees_no_image_is_damaged() -> None:
    data = plain(turn(2), mirror(0)).replace(b"\x00\x00\x00\x09irot", b"\x00\x00\x00\x00irot")
    with pytest.raises(UndecodableImage, match="damaged"):
        pixels_of(data)
