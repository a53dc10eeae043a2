"""What a request's pictures took, left in its scope by the routes for whoever logs or traces the request."""

import time
from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

from service.pipeline import Timed

_WORK: Final = "fer.work"


@dataclass(frozen=True)
class Work:
    """One picture that was answered.

    Attributes:
        faces: Found in it.
        seconds: By stage, in the order in which the stages ran.
        ended: When its answer was there: nanoseconds since 1970.
    """

    faces: int
    seconds: dict[str, float]
    ended: int


def note_work(scope: Scope, timed: Timed) -> None:
    """Leave word of a picture that has just been answered."""
    work = Work(len(timed.prediction.faces), timed.seconds, time.time_ns())
    scope.setdefault(_WORK, []).append(work)


def noted_work(scope: Scope) -> list[Work]:
    """The pictures that were answered; empty where none was."""
    found: list[Work] = scope.get(_WORK, [])
    return found
