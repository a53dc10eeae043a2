"""Small image files of every kind that the service reads, made by Pillow, OpenCV and tifffile."""

import io
import struct
import zlib
from functools import cache

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageDraw

from tests.service.conftest import Pixels, encoded
from tests.service.imaging.heic import coded, heic, mirror, turn


def figure(width: int = 96, height: int = 64) -> Pixels:
    """A face of few strokes on a gradient."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.dstack([rows * 255 // height, columns * 255 // width, (rows + columns) % 256]).astype(np.uint8)
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    draw.ellipse((width // 4, height // 8, width * 3 // 4, height * 7 // 8), fill=(230, 190, 160), outline="black")
    for eye in (width * 2 // 5, width * 3 // 5):
        draw.ellipse((eye - 3, height // 3, eye + 3, height // 3 + 5), fill="black")
    draw.arc((width * 2 // 5, height // 2, width * 3 // 5, height * 3 // 4), 0, 180, fill="red", width=2)
    return np.asarray(image)


def turned(orientation: int = 6) -> Image.Exif:
    """EXIF data with an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    return exif


def translucent() -> Image.Image:
    """The figure with transparency from left to right."""
    image = Image.fromarray(figure())
    image.putalpha(Image.linear_gradient("L").rotate(90).resize(image.size))
    return image


def tiff(pixels: Pixels, **options: object) -> bytes:
    """Encode by tifffile, which knows tiles and planes."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric="rgb", **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def opencv(suffix: str, pixels: np.ndarray, *options: int) -> bytes:  # type: ignore[type-arg]
    """Encode RGB or grey by OpenCV."""
    done, data = cv2.imencode(suffix, pixels if pixels.ndim == 2 else pixels[:, :, ::-1], options)
    assert done
    return data.tobytes()


@cache
def samples() -> dict[str, bytes]:
    """Files by name; each shows `figure()`, some with another number of colours."""
    pixels = figure()
    image, deep = Image.fromarray(pixels), pixels.astype(np.uint16) * 257
    frames = [image.rotate(90), image.rotate(180)]
    return {
        "JPEG": encoded(image, "JPEG"),
        "JPEG 4:4:4": encoded(image, "JPEG", subsampling=0, quality=95),
        "JPEG grey": encoded(image.convert("L"), "JPEG"),
        "JPEG CMYK": encoded(image.convert("CMYK"), "JPEG"),
        "JPEG restarts": encoded(image, "JPEG", restart_marker_blocks=2),
        "JPEG three scans": jpeg_in_scans(pixels),
        "JPEG EXIF": encoded(image, "JPEG", exif=turned()),
        "JPEG progressive": encoded(image, "JPEG", progressive=True),
        "JPEG progressive grey": encoded(image.convert("L"), "JPEG", progressive=True),
        "JPEG progressive restarts": encoded(image, "JPEG", progressive=True, restart_marker_blocks=2),
        "MPO": encoded(image.copy(), "MPO", save_all=True, append_images=[image.rotate(90)]),
        "PNG": encoded(image, "PNG"),
        "PNG EXIF": encoded(image, "PNG", exif=turned()),
        "PNG alpha": encoded(translucent(), "PNG"),
        "PNG grey alpha": encoded(translucent().convert("LA"), "PNG"),
        "PNG palette": encoded(image.quantize(64), "PNG", transparency=3),
        "PNG 1-bit": encoded(image.convert("1"), "PNG"),
        "PNG 16-bit": opencv(".png", deep),
        "PNG interlaced": interlaced_png(pixels),
        "PNG animated": encoded(image, "PNG", save_all=True, append_images=frames),
        "WebP": encoded(image, "WEBP"),
        "WebP EXIF": encoded(image, "WEBP", exif=turned()),
        "WebP alpha": encoded(translucent(), "WEBP"),
        "WebP lossless": encoded(image, "WEBP", lossless=True),
        "WebP lossless alpha": encoded(translucent(), "WEBP", lossless=True, exact=True),
        "WebP animated": encoded(image, "WEBP", save_all=True, append_images=frames),
        "WebP part": webp_frame(pixels, (112, 80), 6, 8),
        "GIF": encoded(image, "GIF"),
        "GIF interlaced": encoded(image, "GIF", interlace=1),
        "GIF animated": encoded(image, "GIF", save_all=True, append_images=frames),
        "BMP": encoded(image, "BMP"),
        "BMP palette": encoded(image.quantize(64), "BMP"),
        "BMP 1-bit": encoded(image.convert("1"), "BMP"),
        "BMP 32-bit": encoded(translucent(), "BMP"),
        "TIFF": encoded(image, "TIFF"),
        "TIFF turned": encoded(image, "TIFF", exif=turned()),
        "TIFF big": encoded(image, "TIFF", big_tiff=True),
        "TIFF big-endian": tiff(pixels, byteorder=">"),
        "TIFF strips": encoded(image, "TIFF", strip_size=1000, compression="tiff_lzw"),
        "TIFF deflate": encoded(image, "TIFF", compression="tiff_deflate"),
        "TIFF JPEG": encoded(image, "TIFF", compression="jpeg"),
        "TIFF PackBits": encoded(image, "TIFF", compression="packbits"),
        "TIFF CCITT": encoded(image.convert("1"), "TIFF", compression="group4"),
        "TIFF palette": encoded(image.quantize(64), "TIFF"),
        "TIFF CMYK": encoded(image.convert("CMYK"), "TIFF"),
        "TIFF 16-bit": tiff(deep),
        "TIFF tiles": tiff(pixels, tile=(32, 32), compression="zlib"),
        "TIFF planes": tiff(np.moveaxis(pixels, 2, 0).copy(), planarconfig="separate"),
        "TIFF pages": encoded(image.copy(), "TIFF", save_all=True, append_images=frames),
        "AVIF": encoded(image, "AVIF"),
        "AVIF EXIF": encoded(image, "AVIF", exif=turned()),
        "AVIF alpha": encoded(translucent(), "AVIF"),
        "AVIF 10-bit": opencv(".avif", pixels.astype(np.uint16) << 2, cv2.IMWRITE_AVIF_DEPTH, 10),
        "AVIF animated": encoded(image, "AVIF", save_all=True, append_images=frames),
        "HEIC": heic([coded(pixels)], (96, 64)),
        "HEIC grey": heic([coded(pixels, grey=True)], (96, 64)),
        "HEIC 10-bit": heic([coded(pixels, depth=10)], (96, 64)),
        "HEIC alpha": heic([coded(pixels)], (96, 64), alpha=coded(pixels, grey=True), exif=b"Maker"),
        "HEIC turned": heic([coded(pixels[:, ::-1])], (96, 64), properties=(turn(2), mirror(0))),
        "HEIC tiles": heic([coded(half) for half in halves(pixels)], (96, 64), (48, 64), columns=2),
    }


def halves(pixels: Pixels) -> list[Pixels]:
    """Return the left and the right half."""
    return np.split(pixels, 2, axis=1)


def jpeg_in_scans(pixels: Pixels) -> bytes:
    """Encode RGB as a sequential JPEG of one scan per component, each coded like a grey image."""
    planes = [encoded(plane, "JPEG", quality=90) for plane in Image.fromarray(pixels).convert("YCbCr").split()]
    frame, tables, scan = (planes[0].index(marker) for marker in (b"\xff\xc0", b"\xff\xc4", b"\xff\xda"))
    components = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    parts = [planes[0][:frame], b"\xff\xc0\0\x11", planes[0][frame + 4 : frame + 9], b"\3", components]
    parts.append(planes[0][tables:scan])
    for number, plane in enumerate(planes, 1):
        start = plane.index(b"\xff\xda") + 10
        parts.append(b"\xff\xda\0\x08\1" + bytes([number, 0, 0, 63, 0]) + plane[start:-2])
    return b"".join(parts) + b"\xff\xd9"


def interlaced_png(pixels: Pixels) -> bytes:
    """Encode RGB as a PNG of seven passes (Adam7), without filters."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = b"".join(
        b"\0" + row.tobytes()
        for top, left, down, across in passes
        for row in pixels[top::down, left::across]
        if row.size
    )
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return png(png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(rows, 1)))


def png(*chunks: bytes) -> bytes:
    """Join chunks to a PNG file."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + png_chunk(b"IEND", b"")


def png_chunk(kind: bytes, content: bytes, length: int | None = None) -> bytes:
    """A chunk of a PNG file; `length` is what it claims, if that is not the truth."""
    claimed = len(content) if length is None else length
    return struct.pack(">I", claimed) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """Join chunks to a WebP file."""
    body = b"".join(kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def webp_frame(image: Pixels, canvas: tuple[int, int], left: int = 0, top: int = 0) -> bytes:
    """An animated WebP of one lossless frame within a canvas."""
    height, width = image.shape[:2]
    sides = [number.to_bytes(3, "little") for number in (left // 2, top // 2, width - 1, height - 1, 100)]
    inner = encoded(image, "WEBP", lossless=True, quality=0, method=0)[12:]
    extent = b"".join((side - 1).to_bytes(3, "little") for side in canvas)
    return riff((b"VP8X", b"\x02\0\0\0" + extent), (b"ANIM", bytes(6)), (b"ANMF", b"".join(sides) + b"\0" + inner))
