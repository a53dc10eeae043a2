"""WebP (RFC 9649): chunks, frames and orientation."""

import struct
from collections.abc import Iterator
from typing import Final

from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.contents import Contents, Layout
from fer_service.imaging.containers.ifd import exif_orientation

_MAX_CHUNKS: Final = 100_000
_ANIMATION: Final = 0x02
_LEAST_BYTES: Final = 32  # OpenCV reads no file with fewer
# The prefix codes of a lossless image may take 12 kB per 16 pixels, with a colour cache 20 kB (libwebp's tables).
_QUICK_LOSSLESS_PIXELS: Final = 80_000


def is_webp(data: bytes) -> bool:
    """Return whether the file begins as a WebP file."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def read_webp(data: bytes) -> Contents:
    """Check the chunks of a WebP file, and reduce it to its first frame.

    Raises:
        UndecodableImage: a length does not fit, or the sizes contradict each other.
    """
    size = 8 + struct.unpack_from("<I", data, 4)[0]
    if size > len(data):
        raise UndecodableImage(f"the WebP file claims {size:,} bytes and has {len(data):,}")
    canvas, frame, metadata = None, None, {b"EXIF": b"", b"XMP ": b""}
    animation = b""
    for kind, start, end in _chunks(data, 12, size):
        if kind == b"VP8X" and canvas is None and frame is None:
            flags, width, height = data[start], _uint24(data, start + 4) + 1, _uint24(data, start + 7) + 1
            canvas = width, height, bool(flags & _ANIMATION)
        elif kind in (b"VP8 ", b"VP8L") and frame is None:
            frame = start - 8, end
            if canvas is None:
                break
        elif kind == b"ANMF" and frame is None and canvas and canvas[2]:
            frame, animation = _first_frame(data, start, end, canvas)
        elif kind in metadata:
            metadata[kind] = metadata[kind] or data[start:end]
    if frame is None:
        raise UndecodableImage("the WebP file contains no image")
    width, height, layout, slow = _bitstream(data, *frame)
    if canvas and not animation and canvas[:2] != (width, height):
        raise UndecodableImage(f"the WebP canvas has {canvas[0]}×{canvas[1]} pixels, its image {width}×{height}")
    orientation = exif_orientation(metadata[b"EXIF"], metadata[b"XMP "]) if any(metadata.values()) else 1
    if canvas and animation:
        return Contents(Layout.WEBP_ANIMATED, *canvas[:2], animation, "animated", orientation, slow=True)
    still = data if canvas is None else _riff(data[slice(*frame)])
    return Contents(layout, width, height, still, "", orientation, slow=slow)


def _chunks(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    for _ in range(_MAX_CHUNKS):
        if at + 8 > end:
            return
        kind, size = struct.unpack_from("<4sI", data, at)
        if at + 8 + size > end:
            raise UndecodableImage(
                f"WebP chunk {kind.decode('latin-1')!r} at byte {at:,} claims {size:,} bytes; "
                f"{end - at - 8:,} follow. If the file was cut off, send all of it"
            )
        yield kind, at + 8, at + 8 + size
        at += 8 + size + size % 2
    raise UndecodableImage(f"the WebP file has more than {_MAX_CHUNKS:,} chunks")


def _first_frame(
    data: bytes, start: int, end: int, canvas: tuple[int, int, bool]
) -> tuple[tuple[int, int], bytes]:
    """Return where the image of a frame is, and an animation of this frame alone unless it fills the canvas."""
    left, top = 2 * _uint24(data, start), 2 * _uint24(data, start + 3)
    width, height = _uint24(data, start + 6) + 1, _uint24(data, start + 9) + 1
    if left + width > canvas[0] or top + height > canvas[1]:
        raise UndecodableImage(f"the first WebP frame exceeds the canvas of {canvas[0]}×{canvas[1]} pixels")
    for kind, inner, inner_end in _chunks(data, start + 16, end):
        if kind in (b"VP8 ", b"VP8L"):
            frame = inner - 8, inner_end
            break
    else:
        raise UndecodableImage("the first WebP frame contains no image")
    if _bitstream(data, *frame)[:2] != (width, height):
        raise UndecodableImage(
            f"the first WebP frame claims {width}×{height} pixels, but its image has another size"
        )
    if (width, height) == canvas[:2]:
        return frame, b""
    return frame, _riff(
        _chunk(b"VP8X", struct.pack("<I", _ANIMATION | 0x10) + _uint24s(canvas[0] - 1, canvas[1] - 1)),
        _chunk(b"ANIM", bytes(6)),
        _chunk(b"ANMF", data[start:end]),
    )


def _bitstream(data: bytes, start: int, end: int) -> tuple[int, int, Layout, bool]:
    """Return width, height, layout, and whether decoding may be slow, of a chunk VP8 or VP8L."""
    content = data[start + 8 : min(end, start + 24)]
    if data[start : start + 4] == b"VP8 ":
        if content[3:6] != b"\x9d\x01\x2a" or content[0] & 1:
            raise UndecodableImage("the WebP image does not begin with a key frame")
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 6))
        if int.from_bytes(content[:3], "little") >> 5 > end - start - 8:
            raise UndecodableImage("the WebP image is truncated in its first partition")
        layout, slow = Layout.WEBP_LOSSY, False
    else:
        if content[:1] != b"\x2f":
            raise UndecodableImage("the lossless WebP image does not begin with its signature")
        (bits,) = struct.unpack_from("<I", content, 1)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        layout, slow = Layout.WEBP_LOSSLESS, width * height > _QUICK_LOSSLESS_PIXELS
    if not width or not height:
        raise UndecodableImage(f"the WebP image claims {width}×{height} pixels")
    return width, height, layout, slow


def _riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunk + bytes(len(chunk) % 2) for chunk in chunks)
    return (b"RIFF" + struct.pack("<I", len(body)) + body).ljust(_LEAST_BYTES, b"\0")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content


def _uint24(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "little")


def _uint24s(*values: int) -> bytes:
    return b"".join(value.to_bytes(3, "little") for value in values)
