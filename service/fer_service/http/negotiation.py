"""Content negotiation by the Accept header (RFC 9110, section 12.5.1)."""

import re
from collections.abc import Sequence
from typing import Final

from fer_service.contract.errors import NotAcceptable

_MAX_RANGES: Final = 64  # a browser sends ten
_QUALITY: Final = re.compile(r"(0(\.\d{0,3})?|1(\.0{0,3})?)")  # RFC 9110, section 12.4.2
_SHOWN: Final = 100  # characters of a header in an answer


def negotiate(accept: str, offered: Sequence[str]) -> str:
    """Return the offered media type that the client prefers; of equals, the first.

    An offer gets the quality of the most specific range that covers it: `image/png` before `image/*` before `*/*`.
    Parameters other than q are ignored.

    Args:
        accept: Value of the header; empty accepts everything. The first 64 ranges count.
        offered: Media types, the default first.

    Raises:
        NotAcceptable: the client accepts none of them.
    """
    parts = accept.split(",", _MAX_RANGES)[:_MAX_RANGES]
    ranges = [_parsed(part) for part in parts if part.strip()]
    if not ranges:
        return offered[0]
    qualities = {offer: _quality(offer, ranges) for offer in offered}
    best = max(offered, key=qualities.__getitem__)
    if qualities[best] <= 0:
        shown = accept if len(accept) <= _SHOWN else f"{accept[:_SHOWN]}…"
        raise NotAcceptable(f"Accept: {shown} allows none of the offered {', '.join(offered)}")
    return best


def _parsed(part: str) -> tuple[str, float]:
    """Return a media range and its quality, 0 to 1; an invalid quality is 0."""
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";", _MAX_RANGES))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            value = value.strip()
            return media_range, float(value) if _QUALITY.fullmatch(value) else 0.0
    return media_range, 1.0


def _quality(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    for wanted in (offer, offer.split("/")[0] + "/*", "*/*"):
        for media_range, quality in ranges:
            if media_range == wanted:
                return quality
    return 0.0
