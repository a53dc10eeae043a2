"""What a request's images took, left in its scope by the routes for whoever logs or traces the request."""

import time
from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

from fer_service.analysis.executor import Timed

_WORK: Final = "fer.work"


@dataclass(frozen=True)
class Work:
    """One image that was answered, or all of a stream together.

    Attributes:
        faces: Found in it.
        seconds: By stage, in the order in which the stages ran.
        ended: When its answer was there: nanoseconds since 1970.
        images: How many it is.
    """

    faces: int
    seconds: dict[str, float]
    ended: int
    images: int = 1


def note_work(scope: Scope, timed: Timed) -> None:
    """Leave word of an image that has just been answered."""
    scope.setdefault(_WORK, []).append(_work(timed))


def add_work(scope: Scope, timed: Timed) -> None:
    """Leave word of a stream's frame; only their sum is kept, because a stream has no last one in sight."""
    work = _work(timed)
    for before in noted_work(scope):
        stages = {**before.seconds, **work.seconds}
        seconds = {stage: before.seconds.get(stage, 0) + work.seconds.get(stage, 0) for stage in stages}
        work = Work(before.faces + work.faces, seconds, work.ended, before.images + 1)
    scope[_WORK] = [work]


def noted_work(scope: Scope) -> list[Work]:
    """The images that were answered; empty where none was."""
    found: list[Work] = scope.get(_WORK, [])
    return found


def _work(timed: Timed) -> Work:
    return Work(len(timed.prediction.faces), timed.seconds, time.time_ns())
