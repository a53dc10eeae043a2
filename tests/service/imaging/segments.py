"""The parts of image files (markers, chunks, boxes, blocks, entries), and copies with parts in other places."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator

_CONTAINERS = {b"meta": 12, b"iprp": 8, b"ipco": 8, b"iref": 12, b"moov": 8, b"trak": 8, b"mdia": 8, b"minf": 8}
_MANY = (2, 3, 20, 300)


def restructured(source: random.Random, data: bytes, other: bytes) -> bytes:
    """Return a copy with one to three changes of its parts.

    Args:
        source: Makes the choices.
        data: The file.
        other: A file whose parts may be put in.
    """
    parts = segments(data)
    for _ in range(source.choice((1, 1, 2, 3))):
        _change(source, parts, segments(other))
    if data.startswith(b"\x89PNG") and source.random() < 0.7:
        parts = [_with_checksum(part) for part in parts]
    return b"".join(parts)


def _change(source: random.Random, parts: list[bytes], others: list[bytes]) -> None:
    if not parts:
        return
    at, to = source.randrange(len(parts)), source.randrange(len(parts))
    match source.randrange(8):
        case 0:
            del parts[at]
        case 1:
            parts[at:at] = [parts[at]] * (source.choice(_MANY) if len(parts[at]) < 5000 else 1)
        case 2:
            parts[at], parts[to] = parts[to], parts[at]
        case 3:
            parts.insert(to, parts.pop(at))
        case 4:
            parts[at : at + source.randrange(2)] = [source.choice(others)]
        case 5:
            parts[at:] = others[source.randrange(len(others)) :]
        case 6:
            parts[at:] = [parts[at][: source.randrange(len(parts[at]) + 1)]]
        case _:
            parts[at] = _with_length(source, parts[at])


def _with_length(source: random.Random, part: bytes) -> bytes:
    """Return a part in which a number near its begin, most often its length, is another one."""
    size, order = source.choice((1, 2, 4)), source.choice((">", "<"))
    at = source.randrange(min(16, max(1, len(part) - size)))
    kind = order + {1: "B", 2: "H", 4: "I"}[size]
    if len(part) < at + size:
        return part
    (number,) = struct.unpack_from(kind, part, at)
    changed = source.choice((number + 1, number - 1, number * 2, number // 2, 0, -1, 1 << (8 * size - 1)))
    return part[:at] + struct.pack(kind, changed % (1 << 8 * size)) + part[at + size :]


def _with_checksum(part: bytes) -> bytes:
    """Return a PNG chunk with the checksum that its content has, and anything else as it is."""
    if len(part) < 12 or not part[4:8].isalpha():
        return part
    return part[:-4] + struct.pack(">I", zlib.crc32(part[4:-4]))


def segments(data: bytes) -> list[bytes]:
    """Return the parts of a file; joined they are the file. An unknown format is cut into pieces of 40 bytes."""
    cuts = sorted({0, *(cut for cut in _cuts(data)(data) if 0 < cut < len(data)), len(data)})
    return [data[start:end] for start, end in zip(cuts, cuts[1:], strict=False)]


def _cuts(data: bytes) -> Callable[[bytes], Iterator[int]]:
    """Return the function that yields the places between the parts."""
    for signature, find in _FORMATS.items():
        if data.startswith(signature):
            return find
    return _boxes if data[4:8] == b"ftyp" else _pieces


def _pieces(data: bytes) -> Iterator[int]:
    yield 14
    yield from range(54, len(data), max(40, len(data) // 50))


def _markers(data: bytes) -> Iterator[int]:
    at = 2
    while at + 4 <= len(data):
        yield at
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        # Data of a scan go on until a marker that is neither stuffing nor a restart.
        while at + 2 <= len(data) and (data[at] != 0xFF or data[at + 1] == 0 or 0xD0 <= data[at + 1] <= 0xD7):
            at += 1
        if data[at : at + 2] == b"\xff\xd9":
            yield at
            at += 2


def _chunks(data: bytes) -> Iterator[int]:
    at = 8
    while at + 8 <= len(data):
        yield at
        at += 12 + int.from_bytes(data[at : at + 4], "big")


def _riff(data: bytes) -> Iterator[int]:
    at = 12
    while at + 8 <= len(data):
        yield at
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2


def _blocks(data: bytes) -> Iterator[int]:
    def table(flags: int) -> int:
        return 3 << (flags % 8 + 1) if flags & 0x80 else 0

    yield 6
    yield 13
    at = 13 + table(data[10])
    while at + 11 <= len(data):
        yield at
        if data[at] == 0x21:
            at += 2
        else:
            yield at + 10
            at += 11 + table(data[at + 9])
        while at < len(data) and data[at]:
            yield at
            at += 1 + data[at]
        at += 1


def _entries(data: bytes) -> Iterator[int]:
    order = "<" if data.startswith(b"II") else ">"
    yield 8
    (at,) = struct.unpack_from(order + "I", data, 4)
    if at + 2 > len(data):
        return
    (count,) = struct.unpack_from(order + "H", data, at)
    yield at
    yield from range(at + 2, min(at + 2 + 12 * count, len(data)) + 1, 12)


def _boxes(data: bytes) -> Iterator[int]:
    at = 0
    while at + 8 <= len(data):
        yield at
        size = int.from_bytes(data[at : at + 4], "big")
        at += _CONTAINERS.get(data[at + 4 : at + 8]) or max(size, 8)


_FORMATS: dict[bytes, Callable[[bytes], Iterator[int]]] = {
    b"\xff\xd8": _markers,
    b"\x89PNG": _chunks,
    b"RIFF": _riff,
    b"GIF8": _blocks,
    b"II*\0": _entries,
    b"MM\0*": _entries,
}
