"""Measure the peak memory of decoding, for every kind of file that the service reads.

    python -m fer_benchmarks.decode_memory --only AVIF

Each file is decoded by a fresh process. The table shows bytes per pixel, measured and as the service estimates
them, without the file itself. There is no encoder of HEIC here; `--file` measures any file. Needs Linux,
scikit-image (tifffile) and 4 GB; all rows take about ten minutes.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import tifffile
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image
from numpy.typing import NDArray
from PIL import Image

_SIDES = {"flat": (7000, 7000), "noise": (4000, 3000)}
Pixels = NDArray[np.integer]
Encoder = Callable[[Pixels], bytes]


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="Measure only kinds whose name contains this.")
    parser.add_argument("--small", action="store_true", help="Use small images, to try the program.")
    parser.add_argument("--file", type=Path, help="Measure this file instead; print JSON.")
    arguments = parser.parse_args()
    if arguments.file:
        print(json.dumps(measure(arguments.file.read_bytes())))
        return
    print("| kind | image | bytes per pixel | estimate | seconds | in a process of its own |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, shown, data in _files(arguments.only, arguments.small):
        row = measure_in_fresh_process(data)
        own = "yes" if row["isolated"] else ""
        print(
            f"| {name} | {shown} | {row['measured']:.1f} | {row['estimate']:.1f} | {row['seconds']:.2f} | {own} |",
            flush=True,
        )


def measure(data: bytes) -> dict[str, float]:
    """Decode a file at full size in this process.

    Returns:
        Bytes per pixel, measured and estimated; seconds; and whether the service isolates the file.
    """
    image = open_image(data, 2**30)
    small = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    decode(small, open_image(small, 64).header)  # what the first decode loads
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before, began = _kilobytes("VmRSS"), time.perf_counter()
    decode(image.data, image.header)
    seconds, peak = time.perf_counter() - began, _kilobytes("VmHWM")
    pixels = image.header.width * image.header.height
    return {
        "measured": (peak - before) * 1024 / pixels,
        "estimate": image.header.memory / pixels,
        "seconds": seconds,
        "isolated": image.header.isolated,
    }


def measure_in_fresh_process(data: bytes) -> dict[str, float]:
    """Do the same as `measure` in a process that has decoded nothing yet."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        command = [sys.executable, "-m", "fer_benchmarks.decode_memory", "--file", file.name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    row: dict[str, float] = json.loads(done.stdout)
    return row


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def _files(only: str, small: bool) -> Iterator[tuple[str, str, bytes]]:
    for shown, (width, height) in _SIDES.items():
        if small:
            width, height = 320, 240
        pixels = np.full((height, width, 4), (120, 130, 140, 255), np.uint8)
        if shown == "noise":
            pixels = np.random.default_rng(0).integers(0, 256, pixels.shape, np.uint8)
        for name, encode in encoders().items():
            if only in name:
                yield name, f"{shown} {width}×{height}", encode(pixels)


def encoders() -> dict[str, Encoder]:
    """Return encoders for pixels uint8 [H, W, 4], RGBA, by kind of file."""
    return {
        "JPEG baseline": _pillow("JPEG", "RGB"),
        "JPEG baseline 4:4:4": _pillow("JPEG", "RGB", subsampling=0),
        "JPEG grey": _pillow("JPEG", "L"),
        "JPEG CMYK": _pillow("JPEG", "CMYK"),
        "JPEG progressive": _pillow("JPEG", "RGB", progressive=True),
        "JPEG progressive 4:4:4": _pillow("JPEG", "RGB", progressive=True, subsampling=0),
        "JPEG progressive grey": _pillow("JPEG", "L", progressive=True),
        "JPEG progressive CMYK": _pillow("JPEG", "CMYK", progressive=True),
        "JPEG baseline turned": _turned("JPEG"),
        "JPEG without end": lambda x: _pillow("JPEG", "RGB")(x)[:-2],
        "PNG RGB": _pillow("PNG", "RGB", compress_level=1),
        "PNG RGBA": _pillow("PNG", "RGBA", compress_level=1),
        "PNG grey": _pillow("PNG", "L", compress_level=1),
        "PNG palette": _pillow("PNG", "P", compress_level=1),
        "PNG 1-bit": _pillow("PNG", "1", compress_level=1),
        "PNG 16-bit RGB": lambda x: _opencv(".png", _deep(_rgb(x)), [cv2.IMWRITE_PNG_COMPRESSION, 1]),
        "PNG 16-bit RGBA": lambda x: _opencv(".png", _deep(x), [cv2.IMWRITE_PNG_COMPRESSION, 1]),
        "WebP lossy": _pillow("WEBP", "RGB", method=0),
        "WebP lossy alpha": _pillow("WEBP", "RGBA", method=0),
        "WebP lossless": _pillow("WEBP", "RGB", method=0, lossless=True, quality=0),
        "WebP lossless alpha": _pillow("WEBP", "RGBA", method=0, lossless=True, quality=0, exact=True),
        "WebP animated": lambda x: _animated(x, "WEBP"),
        "PNG animated": lambda x: _animated(x, "PNG"),
        "GIF": _pillow("GIF", "P"),
        "GIF animated": lambda x: _animated(x, "GIF"),
        "BMP 1-bit": _pillow("BMP", "1"),
        "BMP 8-bit": _pillow("BMP", "P"),
        "BMP 24-bit": _pillow("BMP", "RGB"),
        "BMP 32-bit": _pillow("BMP", "RGBA"),
        "TIFF RGB one strip": _pillow("TIFF", "RGB", strip_size=2**30, compression="raw"),
        "TIFF RGB strips": _pillow("TIFF", "RGB", compression="raw", strip_size=2**16),
        "TIFF LZW": _pillow("TIFF", "RGB", compression="tiff_lzw"),
        "TIFF deflate": _pillow("TIFF", "RGB", compression="tiff_deflate"),
        "TIFF JPEG": _pillow("TIFF", "RGB", compression="jpeg"),
        "TIFF CMYK": _pillow("TIFF", "CMYK", strip_size=2**30),
        "TIFF grey": _pillow("TIFF", "L", strip_size=2**30),
        "TIFF 1-bit CCITT": _pillow("TIFF", "1", compression="group4", strip_size=2**30),
        "TIFF 16-bit RGB": lambda x: _tiff(_deep(_rgb(x)), rowsperstrip=2**30),
        "TIFF 16-bit RGBA": lambda x: _tiff(_deep(x), rowsperstrip=2**30, extrasamples=["unassalpha"]),
        "TIFF tiles of 256": lambda x: _tiff(_rgb(x), tile=(256, 256), compression="zlib"),
        "TIFF one tile": lambda x: _tiff(_rgb(x), tile=[-(-side // 16) * 16 for side in x.shape[:2]]),
        "TIFF planes": lambda x: _tiff(
            np.ascontiguousarray(np.moveaxis(_rgb(x), 2, 0)), planarconfig="separate", rowsperstrip=2**30
        ),
        "TIFF turned": _turned("TIFF"),
        "AVIF": _pillow("AVIF", "RGB", speed=10),
        "AVIF 4:4:4": _pillow("AVIF", "RGB", speed=10, subsampling="4:4:4"),
        "AVIF alpha": lambda x: _pillow("AVIF", "RGBA", speed=10)(_translucent(x)),
        "AVIF 10-bit": lambda x: _deep_avif(x, 10),
        "AVIF 10-bit 4:4:4": lambda x: _deep_avif(x, 10, quality=100),
        "AVIF 12-bit": lambda x: _deep_avif(x, 12),
        "AVIF 10-bit alpha": lambda x: _deep_avif(x, 10, channels=4),
    }


def _pillow(kind: str, mode: str, **options: object) -> Encoder:
    def encode(pixels: Pixels) -> bytes:
        buffer = io.BytesIO()
        image = Image.fromarray(pixels)
        (image if mode == image.mode else image.convert(mode)).save(buffer, kind, **options)
        return buffer.getvalue()

    return encode


def _turned(kind: str) -> Encoder:
    exif = Image.Exif()
    exif[0x0112] = 6
    return _pillow(kind, "RGB", exif=exif)


def _rgb(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[:, :, :3])


def _deep(pixels: Pixels) -> Pixels:
    return pixels.astype(np.uint16) * 257


def _opencv(suffix: str, pixels: Pixels, options: list[int]) -> bytes:
    return cv2.imencode(suffix, pixels, options)[1].tobytes()


def _tiff(pixels: Pixels, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric="rgb", **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def _translucent(pixels: Pixels) -> Pixels:
    pixels = pixels.copy()
    pixels[:, :, 3] = 128
    return pixels


def _deep_avif(pixels: Pixels, depth: int, channels: int = 3, quality: int = 60) -> bytes:
    samples = np.ascontiguousarray(_translucent(pixels)[:, :, :channels]).astype(np.uint16) << (depth - 8)
    options = [cv2.IMWRITE_AVIF_DEPTH, depth, cv2.IMWRITE_AVIF_SPEED, 10, cv2.IMWRITE_AVIF_QUALITY, quality]
    return _opencv(".avif", samples, options)


def _animated(pixels: Pixels, kind: str) -> bytes:
    buffer = io.BytesIO()
    first, second = (Image.fromarray(frame).convert("RGB") for frame in (pixels, 255 - pixels))
    first.save(buffer, kind, save_all=True, append_images=[second])
    return buffer.getvalue()


if __name__ == "__main__":
    main()
