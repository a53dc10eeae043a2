"""POST /predict and POST /predict/batch."""

import asyncio
import time
from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from fastapi import FastAPI, Request
from fastapi.params import Depends
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import request_response
from starlette.types import Message

from fer_service.analysis.analyzer import Options
from fer_service.analysis.drawing import ImageFormat, draw_prediction
from fer_service.analysis.executor import Executor, Timed
from fer_service.contract.errors import DeadlineExceeded, MissingImage, NotReady, RequestError
from fer_service.contract.schemas import BatchError, BatchPrediction, BatchResult, Prediction, Problem
from fer_service.contract.settings import Settings
from fer_service.http.negotiation import negotiate
from fer_service.http.problems import problem_of
from fer_service.http.query import PredictQuery, checked, described
from fer_service.http.uploads import FIELD, Upload, read_many, read_one, too_large
from fer_service.http.work import note_work

_Result = TypeVar("_Result")
PATHS: Final = ("/predict", "/predict/batch")
_JSON: Final = "application/json"
_PICTURES: Final[dict[str, ImageFormat]] = {"image/jpeg": "jpeg", "image/png": "png"}
_BINARY = {"type": "string", "format": "binary"}


def add_predict(app: FastAPI, executor: Executor, settings: Settings, dependencies: Sequence[Depends]) -> None:
    """Add the prediction routes, to the app itself: each router in between is a search and a call more.

    Args:
        app: Gets the routes.
        executor: What answers an image.
        settings: The limits.
        dependencies: Of both routes.
    """

    async def predict(request: Request) -> Response:
        """Find every face in an image and say which emotion each one shows.

        With `Accept: image/jpeg` or `image/png` the answer is the upright image with boxes and labels drawn.
        """
        began = time.monotonic()
        options = checked(PredictQuery, request.query_params).options()
        media_type = negotiate(request.headers.get("accept", ""), (_JSON, *_PICTURES))

        async def work() -> tuple[bytes, Timed]:
            data = await read_one(request, settings.max_image_bytes)
            return await _attended(request, _answer(executor, data, options, deadline, media_type))

        deadline = began + settings.request_timeout
        _check_alive(executor)
        body, timed = await _within(settings.request_timeout, work())
        note_work(request.scope, timed)
        timing = _server_timing(timed.seconds, time.monotonic() - began)
        return Response(body, media_type=media_type, headers={"Server-Timing": timing, "Vary": "Accept"})

    async def predict_batch(request: Request) -> Response:
        """Answer several images; one that cannot be read gets an error of its own."""
        began = time.monotonic()
        options = checked(PredictQuery, request.query_params).options()

        async def one(upload: Upload) -> tuple[BatchPrediction | BatchError, dict[str, float]]:
            try:
                if not upload.data:
                    raise MissingImage("the image is empty")
                if len(upload.data) > settings.max_image_bytes:
                    raise too_large(len(upload.data), settings.max_image_bytes)
                timed = await executor.predict(upload.data, options, deadline)
            except RequestError as error:
                return BatchError(name=upload.name, error=problem_of(error)), {}
            note_work(request.scope, timed)
            prediction = timed.prediction
            return BatchPrediction(name=upload.name, **dict(prediction)), timed.seconds

        async def work() -> list[tuple[BatchPrediction | BatchError, dict[str, float]]]:
            uploads = await read_many(request, settings.max_image_bytes, settings.max_batch_images)
            return await _attended(request, asyncio.gather(*map(one, uploads)))

        deadline = began + settings.request_timeout
        _check_alive(executor)
        answers = await _within(settings.request_timeout, work())
        seconds: dict[str, float] = {}
        for _, stages in answers:
            for stage, duration in stages.items():
                seconds[stage] = seconds.get(stage, 0.0) + duration
        return Response(
            BatchResult(results=[result for result, _ in answers]).model_dump_json(),
            media_type="application/json",
            headers={"Server-Timing": _server_timing(seconds, time.monotonic() - began)},
        )

    shared: dict[str, Any] = {
        "methods": ["POST"],
        "tags": ["predict"],
        "dependencies": dependencies,
        "route_class_override": _Direct,
    }
    problems = _problems(400, 413, 415, 422, 429, 503, 504)
    app.router.add_api_route(
        PATHS[0],
        predict,
        response_model=Prediction,
        openapi_extra=_request(several=False, raw=True),
        responses=problems | _problems(406) | _drawn(),
        **shared,
    )
    app.router.add_api_route(
        PATHS[1],
        predict_batch,
        response_model=BatchResult,
        openapi_extra=_request(several=True, raw=False),
        responses=problems,
        **shared,
    )


class _Direct(APIRoute):
    """A route whose function takes the request and makes the response; FastAPI only describes it."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        # Without dependencies there is nothing to solve and to clean up after.
        self.app = request_response(self.endpoint)


async def _answer(
    executor: Executor, data: bytes, options: Options, deadline: float, media_type: str
) -> tuple[bytes, Timed]:
    """The body in this media type, and what it took."""
    timed = await executor.predict(data, options, deadline)
    if media_type == _JSON:
        return timed.prediction.model_dump_json().encode(), timed
    began, kind, max_pixels = time.monotonic(), _PICTURES[media_type], executor.analyzer.limits.max_pixels
    image = await executor.in_pool(draw_prediction, data, timed.prediction, kind, max_pixels, deadline=deadline)
    return image, Timed(timed.prediction, {**timed.seconds, "draw": time.monotonic() - began})


def _check_alive(executor: Executor) -> None:
    if not executor.alive:
        raise NotReady("the network's thread is not running")


async def _within(seconds: float, work: Coroutine[Any, Any, _Result]) -> _Result:
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError as error:
        raise DeadlineExceeded(f"the answer was not there within {seconds:g} s") from error


async def _attended(request: Request, work: Awaitable[_Result]) -> _Result:
    """Do the work unless the client goes away, whose body has been read whole."""
    this, gone = asyncio.current_task(), asyncio.ensure_future(request.receive())

    def leave(told: asyncio.Future[Message]) -> None:
        if this and not told.cancelled():
            this.cancel()

    gone.add_done_callback(leave)
    try:
        return await work
    except asyncio.CancelledError as error:
        # Somebody else may have cancelled it too, and then wants to see that it was.
        if this and gone.done() and not this.uncancel():
            raise ClientDisconnect from error
        raise
    finally:
        gone.cancel()


def _server_timing(seconds: dict[str, float], total: float) -> str:
    """The Server-Timing header (W3C), in milliseconds."""
    return ", ".join(f"{stage};dur={value * 1e3:.2f}" for stage, value in {**seconds, "total": total}.items())


def _request(*, several: bool, raw: bool) -> dict[str, Any]:
    """OpenAPI's description of the query and the body, which the routes read themselves."""
    field = {"type": "array", "items": _BINARY} if several else _BINARY
    content: dict[str, Any] = {
        "multipart/form-data": {"schema": {"type": "object", "required": [FIELD], "properties": {FIELD: field}}}
    }
    if raw:
        content |= {"image/*": {"schema": _BINARY}, "application/octet-stream": {"schema": _BINARY}}
    return {"parameters": described(PredictQuery), "requestBody": {"required": True, "content": content}}


def _drawn() -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of the answers that are images."""
    return {200: {"content": {media_type: {"schema": _BINARY} for media_type in _PICTURES}}}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem, "description": "Problem details (RFC 9457)"} for status in statuses}
