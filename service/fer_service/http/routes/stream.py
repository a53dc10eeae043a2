"""WS /stream: encoded images in, one JSON result a frame out."""

import contextlib
import time
from collections.abc import Iterator
from typing import Final

import anyio
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import Field

from fer_service.analysis.executor import Executor
from fer_service.contract.errors import NotReady, Overloaded, RequestError
from fer_service.contract.schemas import FrameError, FramePrediction, Prediction
from fer_service.contract.settings import Settings
from fer_service.http.admission import Admission
from fer_service.http.problems import error_response, problem_of
from fer_service.http.query import PredictQuery, checked
from fer_service.http.work import add_work
from fer_service.observability.metrics import Metrics
from fer_service.streaming.session import Outcome, Session
from fer_service.tracking.tracked_stream import HALF_LIFE, TrackedStream

PATH: Final = "/stream"
PROTOCOL: Final = "fer.v1"


class StreamQuery(PredictQuery):
    """What a stream may choose."""

    smooth: float = Field(
        HALF_LIFE, ge=0, le=60, allow_inf_nan=False, description="half-life in seconds; 0 turns smoothing off"
    )


def stream_router(executor: Executor, settings: Settings, admission: Admission, metrics: Metrics) -> APIRouter:
    """The route for streams.

    Args:
        executor: What answers a frame.
        settings: The limits.
        admission: Who may come in; a frame counts like a request.
        metrics: Told of streams and frames.
    """
    router = APIRouter()
    seats = _Seats(settings.max_streams, metrics)
    threshold = executor.analyzer.classifier.bundle.metadata.uncertain_below

    @router.websocket(PATH)
    async def stream(socket: WebSocket) -> None:
        try:
            query = _checked(socket, executor)
            with seats.taken():
                await socket.accept(_protocol(socket))
                await serve(socket, query)
        except RequestError as error:
            await socket.send_denial_response(error_response(error))

    async def serve(socket: WebSocket, query: StreamQuery) -> None:
        async def predict(data: bytes) -> Prediction:
            deadline = time.monotonic() + settings.request_timeout
            timed = await executor.predict(data, query.options(), deadline)
            add_work(socket.scope, timed)
            return timed.prediction

        session = Session(predict, admission, metrics, settings.max_image_bytes)
        follower = TrackedStream(threshold, query.smooth)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_write, socket, session, follower)
                await _read(socket, session)
                tasks.cancel_scope.cancel()
        finally:
            session.close()

    return router


class _Seats:
    """Counts the open streams."""

    def __init__(self, limit: int, metrics: Metrics) -> None:
        self._limit = limit
        self._metrics = metrics
        self._open = 0

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        if self._open >= self._limit:
            self._metrics.rejected.labels("streams").inc()
            raise Overloaded(f"{self._open} streams are open already, as many as are allowed")
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self._open += change
        self._metrics.streams.set(self._open)


async def _read(socket: WebSocket, session: Session) -> None:
    """Hand over every frame until the client goes or the server ends."""
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        session.receive(message.get("bytes"))


async def _write(socket: WebSocket, session: Session, follower: TrackedStream) -> None:
    """Send a result for each frame that is worked on, until nobody listens any more."""
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.send_text(_rendered(await session.next(), follower))


def _rendered(outcome: Outcome, follower: TrackedStream) -> str:
    frame, result = outcome.frame, outcome.result
    seconds = round(frame.time, 4)
    if isinstance(result, RequestError):
        return FrameError(frame=frame.number, time=seconds, error=problem_of(result)).model_dump_json()
    faces = follower.follow(result, frame.time)
    return FramePrediction(
        frame=frame.number, time=seconds, image=result.image, faces=faces, model=result.model
    ).model_dump_json()


def _protocol(socket: WebSocket) -> str | None:
    """What to answer to the subprotocols that were offered: browsers insist on one of theirs, never on the key."""
    return PROTOCOL if PROTOCOL in socket.scope.get("subprotocols", ()) else None


def _checked(socket: WebSocket, executor: Executor) -> StreamQuery:
    """The stream's options, if it may begin at all."""
    if not executor.alive:
        raise NotReady("the network's thread is not running")
    return checked(StreamQuery, socket.query_params)
