"""One stream: frames arrive at any rate, one is analyzed at a time, and the newest is always the next."""

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from fer_service.contract.errors import (
    ImageTooLarge,
    InternalError,
    InvalidParameter,
    RequestError,
    TooManyPixels,
    UndecodableImage,
)
from fer_service.contract.schemas import Prediction
from fer_service.imaging.encoded import check_format
from fer_service.observability.metrics import Metrics
from fer_service.streaming.latest_value import LatestValue
from fer_service.streaming.limits import FrameLimits

_CLIENTS_FAULTS: Final = (ImageTooLarge, InvalidParameter, TooManyPixels, UndecodableImage)
Predict = Callable[[bytes], Awaitable[Prediction]]
logger = logging.getLogger(__name__)


class FrameAdmission(Protocol):
    """Bounds the frames of all streams."""

    def hold(self, size: int) -> None:
        """Book the bytes of a frame, or raise Overloaded."""

    def release(self, size: int) -> None:
        """Release them."""

    def place(self) -> AbstractAsyncContextManager[None]:
        """Wait for a place among the images in progress, and hold it while the block runs."""


@dataclass(frozen=True)
class Frame:
    """A received frame.

    Attributes:
        number: Its number; the client's first message is 1.
        time: Seconds since the stream began.
        data: The encoded image; empty if it was refused.
        refusal: The reason, if it was refused.
    """

    number: int
    time: float
    data: bytes
    refusal: RequestError | None = None


@dataclass(frozen=True)
class Outcome:
    """The result of a frame.

    Attributes:
        frame: The frame.
        result: Its faces, or the error.
    """

    frame: Frame
    result: Prediction | RequestError


class Session:
    """Joins the reader of a stream's frames and the writer of its results.

    A frame takes bytes from its arrival until it is answered or dropped for a newer one. So a stream holds at most
    two: one that is analyzed and one that waits. Only the first takes a place among the images in progress.
    """

    def __init__(self, predict: Predict, admission: FrameAdmission, metrics: Metrics, max_bytes: int) -> None:
        """Begin; the stream's clock starts here.

        Args:
            predict: Analyzes one encoded image.
            admission: Bounds the frames of all streams.
            metrics: Counts the frames.
            max_bytes: Maximum bytes per frame.
        """
        self._predict = predict
        self._admission = admission
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._began = time.monotonic()
        self._received = 0
        self._newest: LatestValue[Frame] = LatestValue()
        self._limits = FrameLimits()

    def receive(self, data: bytes | None) -> None:
        """Take a frame; it replaces an older one that still waits.

        Args:
            data: The encoded image; None for a text message.

        Raises:
            StreamClosed: the client sends too many frames, or too many bad ones.
        """
        self._limits.arrived()
        self._received += 1
        now = time.monotonic() - self._began
        try:
            frame = Frame(self._received, now, self._admitted(data))
        except RequestError as refusal:
            frame = Frame(self._received, now, b"", refusal)
            self._judge(refusal)
        self._drop(self._newest.put(frame))

    async def next(self) -> Outcome:
        """Wait for a frame, analyze the newest one, and return its result.

        Raises:
            StreamClosed: the client sends too many bad frames.
        """
        frame = await self._newest.take()
        result: Prediction | RequestError
        try:
            if frame.refusal is not None:
                result = frame.refusal
            else:
                async with self._admission.place():
                    if newer := self._newest.remove():
                        self._drop(frame)
                        frame = newer
                    result = frame.refusal or await self._predict(frame.data)
        except RequestError as error:
            result = error
        except Exception:
            logger.exception("frame %d of a stream failed", frame.number)
            result = InternalError("internal error; see the server log")
        finally:
            self._release(frame)
        failed = isinstance(result, RequestError)
        if frame.refusal is None:
            self._judge(result)
        self._metrics.frames.labels("failed" if failed else "answered").inc()
        return Outcome(frame, result)

    def close(self) -> None:
        """Drop the frame that waits."""
        self._drop(self._newest.remove())

    def _admitted(self, data: bytes | None) -> bytes:
        if data is None:
            raise InvalidParameter("a frame is a binary message that holds one encoded image")
        if len(data) > self._max_bytes:
            raise ImageTooLarge(f"the frame has {len(data):,} bytes; {self._max_bytes:,} are allowed")
        check_format(data)
        self._admission.hold(len(data))
        return data

    def _judge(self, result: Prediction | RequestError) -> None:
        """Count a frame that is the client's fault, or one that is not."""
        if isinstance(result, _CLIENTS_FAULTS):
            self._limits.bad()
        else:
            self._limits.good()

    def _drop(self, frame: Frame | None) -> None:
        if frame is not None:
            self._release(frame)
            self._metrics.frames.labels("dropped").inc()

    def _release(self, frame: Frame) -> None:
        if frame.refusal is None:
            self._admission.release(len(frame.data))
