"""One stream: frames come in as they like, one is worked on at a time, and the newest is always the next."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fer_service.contract.errors import ImageTooLarge, InternalError, InvalidParameter, RequestError
from fer_service.contract.schemas import Prediction
from fer_service.http.admission import Admission
from fer_service.observability.metrics import Metrics
from fer_service.streaming.latest_value import LatestValue

Predict = Callable[[bytes], Awaitable[Prediction]]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frame:
    """A frame as it came.

    Attributes:
        number: Counts from 1 what the client sent.
        time: When it came, seconds since the stream began.
        data: The encoded image; empty if it was refused.
        refusal: Why it will not be worked on.
    """

    number: int
    time: float
    data: bytes
    refusal: RequestError | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a frame.

    Attributes:
        frame: Which one.
        result: What it shows, or why it could not be answered.
    """

    frame: Frame
    result: Prediction | RequestError


class Session:
    """Between the one that reads a stream's frames and the one that writes its results.

    A frame counts as admitted from its arrival until it was answered or dropped for a newer one, so that a stream
    holds two at most: one that is worked on and one that waits.
    """

    def __init__(self, predict: Predict, admission: Admission, metrics: Metrics, max_bytes: int) -> None:
        """Begin; the stream's time counts from here.

        Args:
            predict: Answers one encoded image.
            admission: Who may come in.
            metrics: Told what becomes of the frames.
            max_bytes: Most bytes a frame.
        """
        self._predict = predict
        self._admission = admission
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._began = time.monotonic()
        self._received = 0
        self._newest: LatestValue[Frame] = LatestValue()

    def receive(self, data: bytes | None) -> None:
        """Take a frame, in place of an older one that still waits.

        Args:
            data: The encoded image; None stands for a message that is none.
        """
        self._received += 1
        now = time.monotonic() - self._began
        try:
            frame = Frame(self._received, now, self._admitted(data))
        except RequestError as refusal:
            frame = Frame(self._received, now, b"", refusal)
        self._drop(self._newest.put(frame))

    async def next(self) -> Outcome:
        """What becomes of the newest frame, as soon as there is one."""
        frame = await self._newest.take()
        try:
            outcome = Outcome(frame, frame.refusal or await self._predict(frame.data))
        except RequestError as error:
            outcome = Outcome(frame, error)
        except Exception:
            logger.exception("frame %d of a stream failed", frame.number)
            outcome = Outcome(frame, InternalError("something broke; the service's log says what"))
        finally:
            self._leave(frame)
        failed = isinstance(outcome.result, RequestError)
        self._metrics.frames.labels("failed" if failed else "answered").inc()
        return outcome

    def close(self) -> None:
        """Drop what still waits."""
        self._drop(self._newest.remove())

    def _admitted(self, data: bytes | None) -> bytes:
        if data is None:
            raise InvalidParameter("a frame is a binary message that holds one encoded image")
        if len(data) > self._max_bytes:
            raise ImageTooLarge(f"the frame has {len(data):,} bytes; {self._max_bytes:,} are allowed")
        self._admission.enter(len(data))
        return data

    def _drop(self, frame: Frame | None) -> None:
        if frame is not None:
            self._leave(frame)
            self._metrics.frames.labels("dropped").inc()

    def _leave(self, frame: Frame) -> None:
        if frame.refusal is None:
            self._admission.leave(len(frame.data))
