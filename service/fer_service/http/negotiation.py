"""Content negotiation by the Accept header (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence

from fer_service.contract.errors import NotAcceptable


def negotiate(accept: str, offered: Sequence[str]) -> str:
    """Return the offered media type that the client prefers; of equals, the first.

    An offer gets the quality of the most specific range that covers it: `image/png` before `image/*` before `*/*`.
    Parameters other than q are ignored.

    Args:
        accept: Value of the header; empty accepts everything.
        offered: Media types, the default first.

    Raises:
        NotAcceptable: the client accepts none of them.
    """
    ranges = [_parsed(part) for part in accept.split(",") if part.strip()]
    if not ranges:
        return offered[0]
    qualities = {offer: _quality(offer, ranges) for offer in offered}
    best = max(offered, key=qualities.__getitem__)
    if qualities[best] <= 0:
        raise NotAcceptable(f"Accept: {accept} allows none of the offered {', '.join(offered)}")
    return best


def _parsed(part: str) -> tuple[str, float]:
    """Return a media range and its quality, 0 to 1; an invalid quality is 0."""
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return media_range, min(max(float(value), 0.0), 1.0)
            except ValueError:
                return media_range, 0.0
    return media_range, 1.0


def _quality(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    for wanted in (offer, offer.split("/")[0] + "/*", "*/*"):
        for media_range, quality in ranges:
            if media_range == wanted:
                return quality
    return 0.0
