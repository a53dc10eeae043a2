"""HEIC files with every property that phones write, coded by PyAV's x265."""

import io
import struct
from dataclasses import dataclass
from functools import cache

import av
import numpy as np

from tests.service.conftest import Pixels


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


@dataclass(frozen=True)
class Coded:
    """An image coded in HEVC.

    Attributes:
        configuration: The box hvcC.
        data: The NAL units of the image, each after its length.
    """

    configuration: bytes
    data: bytes


def coded(pixels: Pixels, depth: int = 8, grey: bool = False) -> Coded:
    """Code RGB pixels; 4:2:0, or without colours."""
    return _coded(pixels.tobytes(), pixels.shape[1], pixels.shape[0], depth, grey)


@cache
def _coded(content: bytes, width: int, height: int, depth: int, grey: bool) -> Coded:
    pixels = np.frombuffer(content, np.uint8).reshape(height, width, 3)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        quiet = {"x265-params": "log-level=none:info=0:keyint=1:pools=none", "crf": "8"}
        stream = container.add_stream("libx265", rate=1, options=quiet)
        stream.width, stream.height, stream.codec_tag = width, height, "hvc1"
        stream.pix_fmt = "gray" if grey else "yuv420p" if depth == 8 else f"yuv420p{depth}le"
        for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")) + stream.encode():
            container.mux(packet)
    written = file.getvalue()
    at = written.index(b"hvcC") - 4
    (size,) = struct.unpack_from(">I", written, at)
    # The muxer moves the parameter sets to hvcC, and writes lengths where the encoder has start codes.
    begin = written.index(b"mdat") + 4
    (stored,) = struct.unpack_from(">I", written, begin - 8)
    return Coded(written[at : at + size], written[begin : begin + stored - 8])


def heic(
    parts: list[Coded],
    size: tuple[int, int],
    part_size: tuple[int, int] | None = None,
    columns: int = 1,
    *,
    properties: tuple[bytes, ...] = (),
    brand: bytes = b"heic",
    alpha: Coded | None = None,
    exif: bytes = b"",
) -> bytes:
    """Join coded parts to a file.

    Args:
        parts: The image, or its tiles.
        size: Width and height that the file claims.
        part_size: Likewise of a tile; None is an image without tiles.
        columns: Tiles per row.
        properties: More properties of the image, such as `turn`.
        brand: Major brand.
        alpha: An image of `size` for its transparency.
        exif: Content of an item Exif.
    """
    tiled = part_size is not None
    items: list[tuple[bytes, bytes, list[int]]] = []  # type, data, numbers of properties
    shared = [box(b"ispe", struct.pack(">III", 0, *size)), parts[0].configuration]
    own = list(range(3, 3 + len(properties)))
    shared += properties
    if tiled:
        assert part_size is not None
        shared.append(box(b"ispe", struct.pack(">III", 0, *part_size)))
        rows = len(parts) // columns
        items.append((b"grid", struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size), [1, *own]))
        items += [(b"hvc1", part.data, [len(shared), 2]) for part in parts]
    else:
        items.append((b"hvc1", parts[0].data, [1, 2, *own]))
    references = b""
    if tiled:
        tiles = range(2, 2 + len(parts))
        references += box(b"dimg", struct.pack(f">HH{len(tiles)}H", 1, len(tiles), *tiles))
    if alpha:
        shared += [alpha.configuration, box(b"auxC", bytes(4) + b"urn:mpeg:hevc:2015:auxid:1\0")]
        items.append((b"hvc1", alpha.data, [1, len(shared) - 1, len(shared)]))
        references += box(b"auxl", struct.pack(">HHH", len(items), 1, 1))
    if exif:
        items.append((b"Exif", struct.pack(">I", 0) + exif, []))
        references += box(b"cdsc", struct.pack(">HHH", len(items), 1, 1))
    return _file(items, shared, references, brand)


def _file(
    items: list[tuple[bytes, bytes, list[int]]], properties: list[bytes], references: bytes, brand: bytes
) -> bytes:
    start = box(b"ftyp", brand + bytes(4) + brand + b"mif1")
    infos = b"".join(
        box(b"infe", struct.pack(">IHH", 2 << 24, number, 0) + kind + b"\0")
        for number, (kind, _, _) in enumerate(items, 1)
    )
    uses = b"".join(
        struct.pack(">HB", number, len(numbers)) + bytes(numbers)
        for number, (_, _, numbers) in enumerate(items, 1)
    )

    def meta(at: int) -> bytes:
        places = b""
        for number, (_, data, _) in enumerate(items, 1):
            places += struct.pack(">HHHII", number, 0, 1, at, len(data))
            at += len(data)
        return box(
            b"meta",
            bytes(4)
            + box(b"hdlr", bytes(8) + b"pict" + bytes(13))
            + box(b"pitm", struct.pack(">IH", 0, 1))
            + box(b"iloc", struct.pack(">IBBH", 0, 0x44, 0, len(items)) + places)
            + box(b"iinf", struct.pack(">IH", 0, len(items)) + infos)
            + (box(b"iref", bytes(4) + references) if references else b"")
            + box(
                b"iprp",
                box(b"ipco", b"".join(properties)) + box(b"ipma", struct.pack(">II", 0, len(items)) + uses),
            ),
        )

    content = b"".join(data for _, data, _ in items)
    return start + meta(len(start) + len(meta(0)) + 8) + box(b"mdat", content)


def turn(steps: int) -> bytes:
    """Return the property that turns an image by steps of 90° anticlockwise."""
    return box(b"irot", bytes([steps]))


def mirror(axis: int) -> bytes:
    """Return the property that mirrors an image, about a vertical (0) or horizontal (1) axis."""
    return box(b"imir", bytes([axis]))


def aperture(width: int, height: int) -> bytes:
    """Return the property that crops the middle of an image."""
    return box(b"clap", struct.pack(">8I", width, 1, height, 1, 0, 1, 0, 1))
