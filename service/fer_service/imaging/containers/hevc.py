"""The size that HEVC data themselves claim (ITU-T H.265, sections 7.3.1 and 7.3.2.2; ISO/IEC 14496-15, 8.3.2)."""

import struct
from dataclasses import dataclass
from typing import Final

from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.containers.bits import Bits

_CONFIGURATION_BYTES: Final = 22  # before the parameter sets
_SEQUENCE_PARAMETERS: Final = 33  # type of NAL unit
_HEADER_BYTES: Final = 256  # more than the fields up to the depth
# Samples of luma per sample of chroma, across and down: 4:0:0, 4:2:0, 4:2:2, 4:4:4.
_CHROMA: Final = ((1, 1), (2, 2), (2, 1), (1, 1))


@dataclass(frozen=True)
class CodedFrame:
    """Values of the sequence parameters.

    Attributes:
        width: Width in pixels that is shown.
        height: Height likewise.
        margin: The larger of the columns and the rows that are coded but not shown.
        depth: Bits per sample of luma.
    """

    width: int
    height: int
    margin: int
    depth: int


def coded_frame(configuration: bytes) -> CodedFrame:
    """Read the sequence parameters of a decoder configuration.

    Args:
        configuration: Content of a box hvcC.

    Raises:
        UndecodableImage: it has no sequence parameters, or they are damaged.
    """
    at = _CONFIGURATION_BYTES
    for _ in range(configuration[at]):
        kind, count = configuration[at + 1] & 63, struct.unpack_from(">H", configuration, at + 2)[0]
        at += 3
        for _ in range(count):
            (size,) = struct.unpack_from(">H", configuration, at + 1)
            begin = at + 3
            if kind == _SEQUENCE_PARAMETERS:
                unit = configuration[begin : begin + min(size, _HEADER_BYTES)]
                # Two bytes are the header of the unit; 00 00 03 stands for 00 00.
                return _frame(Bits(unit[2:].replace(b"\0\0\3", b"\0\0"), "HEVC sequence header"))
            at += 2 + size
    raise UndecodableImage("the HEVC data of the image contain no sequence header")


def _frame(bits: Bits) -> CodedFrame:
    bits.read(4)  # identifier
    _skip_profile(bits, layers=bits.read(3))
    bits.golomb()  # identifier
    chroma = bits.golomb()
    if chroma > 3:
        raise UndecodableImage("the HEVC sequence header is damaged")
    if chroma == 3:
        bits.read(1)
    width, height, across, down = bits.golomb(), bits.golomb(), 0, 0
    if bits.read(1):
        left, right, top, bottom = (bits.golomb() for _ in range(4))
        across, down = _CHROMA[chroma][0] * (left + right), _CHROMA[chroma][1] * (top + bottom)
    return CodedFrame(width - across, height - down, max(across, down), bits.golomb() + 8)


def _skip_profile(bits: Bits, layers: int) -> None:
    bits.read(1 + 88 + 8)  # whether identifiers are nested; profile; level
    present = [(bits.read(1), bits.read(1)) for _ in range(layers)]
    if layers:
        bits.read(2 * (8 - layers))
    for profile, level in present:
        bits.read(88 * profile + 8 * level)
