"""The access log: what a request was and took, never what was in it or what its image was called."""

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from fer_service.contract.job import Stage

logger = logging.getLogger(__name__)


class Worked(Protocol):
    """An image that was answered, or several."""

    @property
    def images(self) -> int:
        """How many."""

    @property
    def faces(self) -> int:
        """Found in it."""

    @property
    def seconds(self) -> Mapping[Stage, float]:
        """By stage."""


def log_request(
    request_id: str, method: str, route: str, status: int, seconds: float, work: Sequence[Worked]
) -> None:
    """Log a request.

    Args:
        request_id: As in its X-Request-ID.
        method: Of HTTP.
        route: The path's template.
        status: Of the answer; 499 where the client was gone, 101 of a stream that was opened.
        seconds: From the request's head to its answer's end.
        work: Images that were answered; a batch's stages add up.
    """
    stages: dict[Stage, float] = {}
    for each in work:
        for stage, took in each.seconds.items():
            stages[stage] = stages.get(stage, 0.0) + took
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
        fields["stages_ms"] = {stage: _ms(took) for stage, took in stages.items()}
    text = f"{method} {route} {status} {_ms(seconds)} ms"
    if images:
        times = " ".join(f"{stage} {_ms(took)}" for stage, took in stages.items())
        text += f", {images} images, {faces} faces: {times}"
    logger.info("%s [%s]", text, request_id, extra={"fields": fields})


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 2)
