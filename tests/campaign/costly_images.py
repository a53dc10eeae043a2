"""Files of few bytes that cost a decoder much time or memory."""

import io
import struct
import zlib
from functools import cache

import cv2
import numpy as np
import tifffile
from fer_benchmarks.images import encode_jpeg
from PIL import Image

from tests.scenes import astronaut, blank, encode_image
from tests.service.imaging.heic import coded, heic
from tests.service.imaging.samples import png, png_chunk, riff

SIDE = 7000  # 49 megapixels: just below FER_MAX_IMAGE_PIXELS


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """Encode by Pillow."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def flat(mode: str = "RGB", side: int = SIDE) -> Image.Image:
    """An image of one grey."""
    return Image.new(mode, (side, side), (128,) * len(mode) if len(mode) > 1 else 128)


def ordinary() -> bytes:
    """A JPEG of 256×256 pixels with a face."""
    return encode_image(np.ascontiguousarray(astronaut()[:256, 100:356]), ".jpg")


def large_photo() -> bytes:
    """A JPEG of 12 megapixels."""
    return encode_jpeg(cv2.resize(astronaut(), (4000, 3000), interpolation=cv2.INTER_CUBIC))


def scans(count: int) -> bytes:
    """A progressive JPEG of 49 megapixels with so many scans."""
    data = saved(flat("L"), "JPEG", progressive=True, quality=50)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * (count - data.count(b"\xff\xda")) + data[-2:]


def png_claim() -> bytes:
    """A PNG of some sixty bytes whose pixels are said to be four gigabytes."""
    header = struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0)
    return png(png_chunk(b"IHDR", header), png_chunk(b"IDAT", b"x\x9c\x01\0\0\0\0", 0xFFFFF000))


def tiff_claim() -> bytes:
    """A TIFF of a few hundred bytes whose tile is said to be of 65,520×65,520 pixels."""
    entries = [(256, 4, 64), (257, 4, 64), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1)]
    entries += [(322, 4, 65520), (323, 4, 65520), (324, 4, 200), (325, 4, 20)]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4)
    return head.ljust(200, b"\0") + zlib.compress(bytes(1000))


def avif() -> bytes:
    """An AVIF of 49 megapixels."""
    return saved(flat(), "AVIF", speed=10, quality=20)


def gif() -> bytes:
    """A GIF of 49 megapixels."""
    return saved(flat("L"), "GIF")


def deep_tiff() -> bytes:
    """A TIFF of 49 megapixels with 16 bits per sample, in one strip."""
    buffer = io.BytesIO()
    pixels = np.full((SIDE, SIDE, 3), 30000, np.uint16)
    tifffile.imwrite(buffer, pixels, photometric="rgb", compression="zlib", rowsperstrip=SIDE)
    return buffer.getvalue()


def animated_png() -> bytes:
    """An APNG of 49 megapixels with two frames."""
    return saved(flat("L"), "PNG", save_all=True, append_images=[flat("L").point(lambda value: 0)])


def animated_webp() -> bytes:
    """An animated WebP of 49 megapixels whose first frame leaves a border."""
    inner = saved(flat(side=SIDE - 10), "WEBP", lossless=True, quality=0, method=0)[12:]
    corner = (1).to_bytes(3, "little") * 2
    sides = (SIDE - 11).to_bytes(3, "little") * 2 + (100).to_bytes(3, "little")
    extent = (SIDE - 1).to_bytes(3, "little") * 2
    frame = corner + sides + b"\0" + inner
    return riff((b"VP8X", b"\x02\0\0\0" + extent), (b"ANIM", bytes(6)), (b"ANMF", frame))


def heic_tiles() -> bytes:
    """A HEIC of 49 megapixels in tiles of 512×512 pixels, as phones write them."""
    across = -(-SIDE // 512)
    return heic([coded(blank(512, 512))] * across**2, (SIDE, SIDE), (512, 512), across)


def crowd() -> bytes:
    """A JPEG of eight megapixels with 96 faces."""
    return encode_jpeg(np.tile(np.ascontiguousarray(astronaut()[:256, 100:356]), (8, 12, 1)))


@cache
def _zeros() -> bytes:
    return zlib.compress(bytes(400_000_000), 9)


def inflating_pixels() -> bytes:
    """A PNG of 64×48 pixels whose data inflate to 400 MB."""
    header = struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0)
    return png(png_chunk(b"IHDR", header), png_chunk(b"IDAT", _zeros()))


def inflating_text() -> bytes:
    """A PNG with a colour profile and a text that inflate to 400 MB each."""
    header = struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(48 * (1 + 3 * 64)))
    extra = [png_chunk(kind, b"name\0\0" + _zeros()) for kind in (b"iCCP", b"zTXt")]
    return png(png_chunk(b"IHDR", header), *extra, png_chunk(b"IDAT", pixels))


def inflating_tiff() -> bytes:
    """A TIFF of 64×64 pixels whose only strip inflates to 400 MB."""
    entries = [(256, 4, 64), (257, 4, 64), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1)]
    entries += [(273, 4, 200), (278, 4, 64), (279, 4, len(_zeros()))]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return (b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4)).ljust(200, b"\0") + _zeros()
