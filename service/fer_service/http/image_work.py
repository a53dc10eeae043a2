"""Times and faces of a request's images: the routes record them for logs and traces."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

from fer_service.analysis.analyzer import Analysis
from fer_service.contract.job import Job, Stage, total_seconds

_KEY: Final = "image_work"


@dataclass(frozen=True)
class ImageWork:
    """One analyzed image, or all frames of a stream together.

    Attributes:
        faces: Number of faces found.
        seconds: Seconds per stage, in the order in which the stages ran.
        ended: End of the analysis in nanoseconds since 1970.
        images: Number of images.
    """

    faces: int
    seconds: dict[Stage, float]
    ended: int
    images: int = 1


def record_image(scope: Scope, analysis: Analysis, job: Job) -> None:
    """Record an image of a request."""
    recorded_images(scope).append(_work(analysis, job))


def record_frame(scope: Scope, analysis: Analysis, job: Job) -> None:
    """Record a frame of a stream; only the sum is kept, because a stream may last for days."""
    work = _work(analysis, job)
    recorded = recorded_images(scope)
    for before in recorded:
        seconds = total_seconds([before.seconds, work.seconds])
        work = ImageWork(before.faces + work.faces, seconds, work.ended, before.images + 1)
    recorded[:] = [work]


def recorded_images(scope: Scope) -> list[ImageWork]:
    """Return the images recorded for a request or stream."""
    found: list[ImageWork] = scope.setdefault("state", {}).setdefault(_KEY, [])
    return found


def _work(analysis: Analysis, job: Job) -> ImageWork:
    return ImageWork(len(analysis.prediction.faces), dict(job.seconds), time.time_ns())


def server_timing(seconds: Mapping[Stage, float], total: float) -> str:
    """Return the Server-Timing header (W3C), in milliseconds."""
    return ", ".join(f"{stage};dur={value * 1e3:.2f}" for stage, value in [*seconds.items(), ("total", total)])
