"""One image's work in progress: its deadline, and the time that each stage took."""

import contextlib
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from fer_service.contract.errors import DeadlineExceeded


class Stage(StrEnum):
    """The stages of an image's work, by their names in metrics, logs and the Server-Timing header."""

    QUEUE = "queue"
    DECODE = "decode"
    DETECT = "detect"
    CROP = "crop"
    INFER = "infer"
    DRAW = "draw"


def total_seconds(images: Iterable[Mapping[Stage, float]]) -> dict[Stage, float]:
    """Add up the seconds per stage of several images."""
    total: dict[Stage, float] = {}
    for seconds in images:
        for stage, duration in seconds.items():
            total[stage] = total.get(stage, 0.0) + duration
    return total


class Job:
    """Measures the stages of one image's work and knows until when the answer is wanted.

    Attributes:
        deadline: `time.monotonic()` after which the answer is no longer wanted; infinity is never.
        client: The client that sent the request.
        turn: Key for scheduling: the client, or one of several keys of this client.
        kind: Kind and size of the image as soon as they are known, for the log.
        seconds: Seconds per stage, in the order in which the stages first ran.
        cancelled: True if the work was cancelled.
    """

    def __init__(self, deadline: float = math.inf, client: str = "", turn: str = "") -> None:
        self.deadline = deadline
        self.client = client
        self.turn = turn or client
        self.kind = "an image"
        self.seconds: dict[Stage, float] = {}
        self.cancelled = False
        self._waited = 0.0

    @contextlib.contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Add the time spent inside to a stage, less what was spent in a queue (see `queued`)."""
        began, waited = time.perf_counter(), self._waited
        try:
            yield
        finally:
            self._add(stage, time.perf_counter() - began - (self._waited - waited))

    def queued(self, seconds: float) -> None:
        """Add time that the image waited in a queue; the stage that runs is not charged for it."""
        self._waited += seconds
        self._add(Stage.QUEUE, seconds)

    def cancel(self) -> None:
        """Give the work up: its answer is no longer wanted."""
        self.cancelled = True

    def overdue(self) -> bool:
        """Return True if the deadline has passed."""
        return time.monotonic() > self.deadline

    def expired(self) -> bool:
        """Return True if the answer is no longer wanted: the deadline has passed, or the work was cancelled."""
        return self.cancelled or self.overdue()

    def check_deadline(self, where: str) -> None:
        """Refuse to go on after the deadline.

        Args:
            where: What the image waited for, for the message.

        Raises:
            DeadlineExceeded: the deadline has passed.
        """
        if self.expired():
            raise DeadlineExceeded(f"request timed out while waiting for {where}")

    def _add(self, stage: Stage, seconds: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
