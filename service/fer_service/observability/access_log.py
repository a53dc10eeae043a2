"""Access log: route, status, times and number of faces per request; never image content or file names."""

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from fer_service.contract.job import Stage, total_seconds

logger = logging.getLogger(__name__)


class ImageStats(Protocol):
    """Counts and stage times of one image, or of several."""

    @property
    def images(self) -> int:
        """Number of images."""

    @property
    def faces(self) -> int:
        """Number of faces."""

    @property
    def seconds(self) -> Mapping[Stage, float]:
        """Seconds per stage."""


def log_request(
    request_id: str, method: str, route: str, status: int, seconds: float, work: Sequence[ImageStats]
) -> None:
    """Log a request.

    Args:
        request_id: X-Request-ID of the response.
        method: HTTP method.
        route: Path template.
        status: Status of the response; 499 if the client disconnected, 101 for an accepted stream.
        seconds: Time from the head of the request to the end of the response.
        work: Processed images; the times of their stages are added up.
    """
    stages = total_seconds(each.seconds for each in work)
    images, faces = sum(each.images for each in work), sum(each.faces for each in work)
    fields: dict[str, object] = {
        "request_id": request_id,
        "method": method,
        "route": route,
        "status": status,
        "ms": _ms(seconds),
    }
    if images:
        fields |= {"images": images, "faces": faces}
        fields["stages_ms"] = {stage: _ms(duration) for stage, duration in stages.items()}
    text = f"{method} {route} {status} {_ms(seconds)} ms"
    if images:
        times = " ".join(f"{stage} {_ms(duration)}" for stage, duration in stages.items())
        text += f", {images} images, {faces} faces: {times}"
    logger.info("%s [%s]", text, request_id, extra={"fields": fields})


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 2)
