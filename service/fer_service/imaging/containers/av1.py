"""The size that an AV1 stream itself claims (AV1 specification, sections 5.3 to 5.5)."""

from typing import Final

from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.bits import Bits

_SEQUENCE_HEADER: Final = 1
_MAX_UNITS: Final = 16
_HEADER_BYTES: Final = 600  # more than the longest sequence header


def coded_size(stream: bytes) -> tuple[int, int]:
    """Return the maximum width and height of the frames, from the sequence header.

    Args:
        stream: Begin of an AV1 stream.

    Raises:
        UndecodableImage: the stream does not begin with a sequence header.
    """
    at = 0
    for _ in range(_MAX_UNITS):
        if at >= len(stream):
            break
        header = stream[at]
        at += 2 if header & 4 else 1
        size = len(stream) - at
        if header & 2:
            size, at = _leb128(stream, at)
        if header >> 3 & 15 == _SEQUENCE_HEADER:
            return _size(Bits(stream[at : at + min(size, _HEADER_BYTES)], "AV1 sequence header"))
        at += size
    raise UndecodableImage("the AV1 data of the image contain no sequence header")


def _leb128(stream: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 56, 7):
        byte = stream[at]
        value, at = value | (byte & 127) << shift, at + 1
        if not byte & 128:
            break
    return value, at


def _size(bits: Bits) -> tuple[int, int]:
    bits.read(4)  # profile, still picture
    if bits.read(1):  # reduced header of a still picture
        bits.read(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(width_bits) + 1, bits.read(height_bits) + 1


def _skip_operating_points(bits: Bits) -> None:
    delay_bits = None
    if bits.read(1):  # timing
        bits.read(64)
        if bits.read(1):
            _skip_uvlc(bits)
        if bits.read(1):  # decoder model
            delay_bits = bits.read(5) + 1
            bits.read(42)
    display_delay = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) > 7:
            bits.read(1)
        if delay_bits is not None and bits.read(1):
            bits.read(2 * delay_bits + 1)
        if display_delay and bits.read(1):
            bits.read(4)


def _skip_uvlc(bits: Bits) -> None:
    zeros = 0
    while not bits.read(1):
        zeros += 1
    if zeros < 32:
        bits.read(zeros)
