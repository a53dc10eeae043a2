"""Codings of bodies: a compressed or encoded body is refused as such, not as a damaged image."""

from collections.abc import Iterable, Mapping
from typing import Final

from starlette.datastructures import Headers

from fer_service.contract.errors import UnsupportedCoding

# RFC 9110, section 8.4; RFC 9112, section 7; RFC 2045, section 6.1.
_PLAIN: Final[dict[str, tuple[str, ...]]] = {
    "Content-Encoding": ("identity",),
    "Transfer-Encoding": ("identity", "chunked"),
    "Content-Transfer-Encoding": ("binary", "8bit", "7bit"),
}
_SHOWN: Final = 40  # characters of an unknown coding


def check_body(headers: Headers) -> None:
    """Refuse a request whose body is compressed.

    Raises:
        UnsupportedCoding: the body is compressed.
    """
    for name in ("Content-Encoding", "Transfer-Encoding"):
        _check(name, headers.getlist(name))


def check_part(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a part of a form that is compressed or encoded.

    Args:
        headers: Headers of the part; names in small letters.

    Raises:
        UnsupportedCoding: the part is compressed or encoded.
    """
    for name in ("Content-Encoding", "Content-Transfer-Encoding"):
        _check(name, [headers.get(name.lower().encode(), b"").decode("latin-1")])


def _check(name: str, values: Iterable[str]) -> None:
    for coding in ",".join(values).split(","):
        if (coding := coding.strip().lower()) and coding not in _PLAIN[name]:
            raise UnsupportedCoding(
                f"{name} {coding[:_SHOWN]} is not supported; send the file as it is: bodies must not be "
                "compressed or encoded"
            )
