"""WS /stream: encoded images in, one JSON result per frame out."""

import contextlib
import time
from typing import Final

import anyio
from fastapi import APIRouter, HTTPException, WebSocket, WebSocketDisconnect
from starlette.status import WS_1008_POLICY_VIOLATION
from starlette.websockets import WebSocketDisconnected

from fer_service.contract.errors import RequestError
from fer_service.contract.job import Job
from fer_service.contract.schemas import FrameError, Prediction, StreamPrediction
from fer_service.contract.summaries import FrameCounts
from fer_service.http.admission import StreamFrames
from fer_service.http.authentication import authenticate, check_origin
from fer_service.http.image_work import record_frame
from fer_service.http.problems import error_response, problem_of
from fer_service.http.query import StreamQuery, parse_query
from fer_service.http.state import AppState, get_state
from fer_service.streaming.limits import StreamClosed
from fer_service.streaming.session import Outcome, Session
from fer_service.tracking.tracked_stream import TrackedStream

PROTOCOL: Final = "fer.v1"

router = APIRouter()


@router.api_route("/stream", methods=["GET", "HEAD"], include_in_schema=False)
async def no_stream() -> None:
    """Refuse a request without the headers of a WebSocket (RFC 9110, section 15.5.22)."""
    raise HTTPException(
        426,
        "a stream is a WebSocket: the request needs the header Upgrade: websocket, which proxies must forward",
        {"Upgrade": "websocket", "Connection": "Upgrade"},
    )


@router.websocket("/stream")
async def stream(socket: WebSocket) -> None:
    """Answer a stream of frames."""
    state = get_state(socket)
    try:
        trusted = bool(state.settings.trusted_proxies)  # only their headers are left then
        check_origin(socket.headers, state.settings.cors_origins, trusted=trusted)
        client = authenticate(socket, state.keys)
        query = parse_query(StreamQuery, socket.query_params)
        state.check_alive()
        with state.admission.stream(client) as frames:
            await socket.accept(_subprotocol(socket))
            await _serve(socket, query, state, frames, client)
    except RequestError as error:
        await socket.send_denial_response(error_response(error))


async def _serve(
    socket: WebSocket, query: StreamQuery, state: AppState, frames: StreamFrames, client: str
) -> None:
    async def predict(data: bytes) -> Prediction:
        job = Job(time.monotonic() + state.settings.request_timeout, client, f"streams of {client}")
        analysis = await state.executor.run(data, query.options(), job)
        record_frame(socket.scope, analysis, job)
        return analysis.prediction

    session = Session(predict, frames, state.metrics, state.settings.max_image_bytes)
    threshold = state.executor.analyzer.classifier.bundle.metadata.uncertain_below
    tracked = TrackedStream(threshold, query.smooth)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_write, socket, session, tracked)
            await _read(socket, session)
            tasks.cancel_scope.cancel()
    except* StreamClosed as closed:
        state.admission.reject_stream()
        # WebSocketDisconnected: the writer has noticed before that the client is gone.
        with contextlib.suppress(WebSocketDisconnect, WebSocketDisconnected):
            await socket.close(WS_1008_POLICY_VIOLATION, str(closed.exceptions[0]))
    finally:
        session.close()


async def _read(socket: WebSocket, session: Session) -> None:
    """Hand every frame to the session until the client disconnects or the server stops."""
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        session.receive(message.get("bytes"))


async def _write(socket: WebSocket, session: Session, tracked: TrackedStream) -> None:
    """Send a result for each analyzed frame until the client disconnects."""
    with contextlib.suppress(WebSocketDisconnect):
        counts = FrameCounts()
        while True:
            await socket.send_text(_rendered(await session.next(), tracked, counts))


def _rendered(outcome: Outcome, tracked: TrackedStream, counts: FrameCounts) -> str:
    frame, result = outcome.frame, outcome.result
    seconds = round(frame.time, 4)
    if isinstance(result, RequestError):
        return FrameError(frame=frame.number, time=seconds, error=problem_of(result)).model_dump_json()
    faces = tracked.update(result, frame.time)
    counts.add(faces)
    return StreamPrediction(
        frame=frame.number,
        time=seconds,
        image=result.image,
        faces=faces,
        model=result.model,
        summary=counts.summary(),
    ).model_dump_json()


def _subprotocol(socket: WebSocket) -> str | None:
    """Return the subprotocol to accept: browsers insist on one that they offered; the key is never repeated."""
    return PROTOCOL if PROTOCOL in socket.scope.get("subprotocols", ()) else None
