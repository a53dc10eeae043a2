import io

import cv2
import numpy as np
import pytest
import tifffile
from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image
from PIL import Image, ImageOps

from tests.service.conftest import Pixels, encoded, plain
from tests.service.imaging.samples import figure, samples

LIMIT = 1_000_000
# How a camera stores an upright image under each orientation of the EXIF standard.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
EXACT: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}


def decoded(data: bytes, reduction: int = 1) -> Pixels:
    image = open_image(data, LIMIT)
    return decode(image.data, image.header, reduction)


def assert_close(pixels: Pixels, expected: Pixels, tolerance: float) -> None:
    assert pixels.dtype == np.uint8
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected.astype(int)).mean() <= tolerance


def quadrants() -> Pixels:
    pixels = np.zeros((40, 64, 3), np.uint8)
    pixels[:20, :32], pixels[:20, 32:], pixels[20:, :32] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return pixels


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", EXACT)
def test_every_exif_orientation_comes_out_upright(kind: str, orientation: int) -> None:
    stored, turned = Image.fromarray(quadrants()), STORED[orientation]
    if turned is not None:
        stored = stored.transpose(turned)
    exif = Image.Exif()
    exif[0x0112] = orientation

    data = encoded(stored, kind, exif=exif, **EXACT[kind])

    image = open_image(data, LIMIT)
    assert (image.header.width, image.header.height) == (64, 40)
    assert_close(decode(image.data, image.header), quadrants(), 3)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_reduced_image_is_upright_too(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = STORED[orientation]
    assert turned is not None
    data = encoded(Image.fromarray(quadrants()).transpose(turned), "JPEG", exif=exif, **EXACT["JPEG"])
    assert_close(decoded(data, 4), quadrants()[::4, ::4], 3)


@pytest.mark.parametrize("value", [0, 9, 77])
def test_an_invalid_orientation_is_ignored(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    data = encoded(quadrants(), "JPEG", exif=exif, **EXACT["JPEG"])
    assert_close(decoded(data), quadrants(), 3)


@pytest.mark.parametrize(
    ("kind", "mode", "options", "tolerance"),
    [
        ("JPEG", "L", {"quality": 95}, 1.5),
        ("JPEG", "CMYK", {"quality": 95}, 2),
        ("PNG", "RGB", {}, 0),
        ("PNG", "L", {}, 0),
        ("PNG", "1", {}, 0),
        ("PNG", "P", {}, 0),
        ("PNG", "P", {"transparency": 3}, 0),
        ("WEBP", "RGB", {"lossless": True}, 0),
        ("GIF", "P", {}, 0),
        ("BMP", "RGB", {}, 0),
        ("TIFF", "RGB", {}, 0),
        ("TIFF", "P", {}, 0),
        ("TIFF", "L", {"compression": "tiff_lzw"}, 0),
        ("AVIF", "RGB", {"quality": 95}, 3),
    ],
)
def test_every_format_and_mode_becomes_rgb(
    astronaut: Pixels, kind: str, mode: str, options: dict[str, object], tolerance: float
) -> None:
    image = Image.fromarray(astronaut)
    image = image.quantize(64) if mode == "P" else image.convert(mode)
    data = encoded(image, kind, **options)
    assert open_image(data, LIMIT).header.format == kind
    assert_close(decoded(data), np.asarray(image.convert("RGB")), tolerance)


def test_the_first_image_of_an_mpo_is_used(astronaut: Pixels) -> None:
    data = encoded(astronaut, "MPO", quality=95, save_all=True, append_images=[Image.new("RGB", (512, 512))])
    assert_close(decoded(data), astronaut, 2)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparency_is_dropped(kind: str) -> None:
    image = Image.fromarray(quadrants())
    image.putalpha(128)
    assert_close(decoded(encoded(image, kind, **EXACT[kind])), quadrants(), 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bit_values_are_divided_by_256(channels: int) -> None:
    levels = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    done, buffer = cv2.imencode(".png", levels if channels == 1 else np.dstack([levels] * 3))
    assert done
    assert_close(decoded(buffer.tobytes()), np.dstack([levels // 256] * 3).astype(np.uint8), 0)


def test_a_gif_may_lack_its_last_two_bytes() -> None:
    whole = encoded(Image.effect_noise((90, 60), 80), "GIF")
    assert whole.endswith(b"\0;")
    expected = decoded(whole)
    for end in (1, 2):
        assert np.array_equal(decoded(whole[:-end]), expected)
    with pytest.raises(UndecodableImage):
        decoded(whole[:-3])


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_of_several_frames_is_used(kind: str) -> None:
    red, green, blue = (Image.new("RGB", (40, 30), colour) for colour in ("red", "lime", "blue"))
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(red, kind, save_all=True, append_images=[green, blue], **options)
    assert_close(decoded(data), np.asarray(red), 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_an_image_of_one_pixel_is_an_image(kind: str) -> None:
    assert_close(decoded(encoded(Image.new("RGB", (1, 1), "white"), kind)), np.full((1, 1, 3), 255, np.uint8), 2)


@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_a_reduced_jpeg_shows_the_same_smaller(astronaut: Pixels, reduction: int) -> None:
    data = encoded(astronaut[:400], "JPEG", quality=95)
    size = 512 // reduction, 400 // reduction
    expected = cv2.resize(decoded(data), size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    assert_close(decoded(data, reduction), expected, 1.5)


@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_reduced_sides_are_rounded_up(astronaut: Pixels, reduction: int) -> None:
    data = encoded(astronaut[:509, :407], "JPEG")
    assert decoded(data, reduction).shape == (-(-509 // reduction), -(-407 // reduction), 3)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.98])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_truncated_image_is_undecodable(astronaut: Pixels, kind: str, keep: float) -> None:
    data = encoded(astronaut[:128, :128], kind)
    with pytest.raises(UndecodableImage):
        decoded(data[: int(len(data) * keep)])


def test_the_error_names_the_format(astronaut_jpeg: bytes) -> None:
    with pytest.raises(UndecodableImage, match="JPEG image is truncated"):
        decoded(astronaut_jpeg[: len(astronaut_jpeg) // 2])


def test_missing_data_after_the_header_is_undecodable(astronaut_jpeg: bytes) -> None:
    with pytest.raises(UndecodableImage, match="JPEG"):
        decode(b"", open_image(astronaut_jpeg, LIMIT).header)


def test_pixels_of_another_size_than_the_header_are_refused(astronaut_jpeg: bytes) -> None:
    header = open_image(plain("red"), LIMIT).header
    with pytest.raises(UndecodableImage, match="does not have the size"):
        decode(astronaut_jpeg, header)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("grey", [False, True])
def test_samples_of_16_bits_may_use_fewer(bits: int, suffix: str, grey: bool) -> None:
    pixels = np.repeat(figure()[..., :1], 3, axis=2) if grey else figure().copy()
    pixels[0, 0] = 255
    samples = (pixels.astype(np.uint16) << (bits - 8)) + (2 ** (bits - 8) - 1)
    file = cv2.imencode(suffix, samples[..., 0] if grey else samples[..., ::-1])[1].tobytes()
    assert_close(decoded(file), pixels, 1)


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "rgb", "planarconfig": "separate"},
        {"photometric": "miniswhite"},
        {"photometric": "rgb", "byteorder": ">"},
        {"photometric": "rgb", "compression": "zlib", "predictor": True},
        {"photometric": "rgb", "tile": (64, 64)},
    ],
)
def test_unusual_tiff_images_of_16_bits_look_as_those_of_8_bits(bits: int, options: dict[str, object]) -> None:
    grey = options["photometric"] == "miniswhite"
    planar = options.get("planarconfig") == "separate"

    def written(pixels: Pixels) -> Pixels:
        shown = pixels[..., 0] if grey else np.moveaxis(pixels, 2, 0) if planar else pixels
        file = io.BytesIO()
        tifffile.imwrite(file, np.ascontiguousarray(shown), **options)
        return decoded(file.getvalue())

    pixels = figure().copy()
    pixels[0, 0] = 255
    deep = written(pixels.astype(np.uint16) << (bits - 8))
    if bits == 16:
        assert_close(deep, written(pixels), 1)
    else:  # where OpenCV cannot read them with 16 bits, they stay dark
        assert deep.max() <= 16 or deep.min() >= 239 or np.abs(deep.astype(int) - written(pixels)).max() <= 1


@pytest.mark.parametrize("name", sorted(samples()))
def test_every_file_looks_as_pillow_shows_it(name: str) -> None:
    data, image = samples()[name], Image.fromarray(figure())
    # Pillow clips 16-bit grey, lacks 16-bit RGB, and does not read HEIC.
    if not name.startswith("HEIC") and "16-bit" not in name:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    elif "grey" in name:
        image = image.convert("L")
    assert_close(decoded(data), np.asarray(image.convert("RGB")), 3 if name.startswith("HEIC") else 2)
