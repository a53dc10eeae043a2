"""POST /predict and POST /predict/batch."""

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from fer_service.analysis.drawing import DrawnFormat
from fer_service.contract.errors import MissingImage, RequestError
from fer_service.contract.job import Job, Stage
from fer_service.contract.schemas import BatchError, BatchPrediction, BatchResult, Landmarks, Prediction
from fer_service.http.answers import Answer
from fer_service.http.authentication import authenticate
from fer_service.http.image_work import record_image
from fer_service.http.json_body import IMAGE, IMAGES
from fer_service.http.multipart import FIELD, Upload
from fer_service.http.negotiation import negotiate
from fer_service.http.openapi import BATCH, BATCH_RESULT, ONE_IMAGE, PREDICTION, answered, refused
from fer_service.http.preemption import preemptible
from fer_service.http.problems import problem_of
from fer_service.http.query import BatchQuery, ImageQuery, with_boxes
from fer_service.http.state import AppState, get_state
from fer_service.http.time_limit import cancel_on_disconnect, time_limit
from fer_service.http.uploads import declared_length, read_image, read_images, too_large

_JSON: Final = "application/json"
_DRAWN: Final[dict[str, DrawnFormat]] = {"image/jpeg": "jpeg", "image/png": "png"}
_BINARY: Final = {"type": "string", "format": "binary"}
_BASE64: Final = {
    "type": "string",
    "contentEncoding": "base64",
    "description": "The image in base64 (standard or URL-safe, with or without padding), or as a data URL.",
}


_NUMBER: Final = {"type": "number"}
_POINT: Final = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
_GIVEN_BOXES: Final = {
    "type": "array",
    "minItems": 1,
    "description": "Faces in pixels of the upright image, instead of detection; answered in this order.",
    "items": {
        "type": "object",
        "required": ["x", "y", "width", "height"],
        "properties": {
            **dict.fromkeys(("x", "y", "width", "height"), _NUMBER),
            "landmarks": {
                "type": ["object", "null"],
                "properties": dict.fromkeys(Landmarks.model_fields, _POINT),
                "required": list(Landmarks.model_fields),
            },
        },
    },
}


def _form(schema: Mapping[str, Any], **others: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema": {"type": "object", "required": [FIELD], "properties": {FIELD: schema, **others}}}


def _json(name: str, schema: Mapping[str, Any], **others: Mapping[str, Any]) -> dict[str, Any]:
    object_schema = {"type": "object", "required": [name], "properties": {name: schema, **others}}
    return {"schema": object_schema | {"additionalProperties": False}}


# The routes read their bodies themselves, so OpenAPI learns of them here.
_ONE_IMAGE: Final = {
    "multipart/form-data": _form(_BINARY, boxes=_GIVEN_BOXES),
    "application/json": _json(IMAGE, _BASE64, boxes=_GIVEN_BOXES),
    "image/*": {"schema": _BINARY},
    "application/octet-stream": {"schema": _BINARY},
}
_SEVERAL_IMAGES: Final = {
    "multipart/form-data": _form({"type": "array", "items": _BINARY}),
    "application/json": _json(IMAGES, {"type": "array", "minItems": 1, "items": _BASE64}),
}

router = APIRouter(tags=["predict"])


@router.post(
    "/predict",
    response_model=Prediction,
    summary="Analyze one image",
    responses=answered(
        "The faces, or the image with boxes and labels.",
        {_JSON: {"example": PREDICTION}, **{kind: {"schema": _BINARY} for kind in _DRAWN}},
        "Server-Timing",
        "Vary",
    )
    | refused(*ONE_IMAGE),
    openapi_extra={"requestBody": {"required": True, "content": _ONE_IMAGE}},
)
async def predict(request: Request, query: Annotated[ImageQuery, Query()]) -> Response:
    """Find every face of an image and the emotion that it shows.

    With `Accept: image/jpeg` or `image/png` the answer is the upright image with boxes and labels.
    """
    state = get_state(request)
    client = authenticate(request, state.keys)
    media_type = negotiate(",".join(request.headers.getlist("accept")), (_JSON, *_DRAWN))
    drawn = _DRAWN.get(media_type)
    options = query.options(drawn)
    began = time.monotonic()
    # What takes long takes turns with what does not, also where one client asks for both.
    turn = f"drawn images of {client}" if drawn else client
    job = Job(began + state.settings.request_timeout, turn)
    state.check_alive()
    admission, ledger = state.admission, state.admission.ledger
    with admission.request(client, declared_length(request, 0)) as hold:
        async with time_limit(job):
            async with preemptible(ledger, hold):
                upload = await read_image(request, state.settings.max_image_bytes, partial(ledger.grow, hold))
            with admission.place(client):
                work = state.executor.run(upload.data, with_boxes(options, upload.boxes), job)
                analysis = await cancel_on_disconnect(request, work)
    record_image(request.scope, analysis, job)
    headers = {"Server-Timing": _server_timing(job.seconds, time.monotonic() - began), "Vary": "Accept"}
    content = analysis.drawn or analysis.prediction.model_dump_json()
    return Answer(content, media_type, headers, ledger, client)


@router.post(
    "/predict/batch",
    response_model=BatchResult,
    summary="Analyze several images",
    responses=answered(
        "The results in the order of the images.", {_JSON: {"example": BATCH_RESULT}}, "Server-Timing"
    )
    | refused(*BATCH),
    openapi_extra={"requestBody": {"required": True, "content": _SEVERAL_IMAGES}},
)
async def predict_batch(request: Request, query: Annotated[BatchQuery, Query()]) -> Response:
    """Analyze several images; an image that cannot be read gets an error of its own."""
    state = get_state(request)
    client, settings = authenticate(request, state.keys), state.settings
    began = time.monotonic()
    limit = Job(began + settings.request_timeout, client)
    state.check_alive()
    admission, ledger = state.admission, state.admission.ledger
    with admission.request(client, declared_length(request, 0)) as hold:
        async with time_limit(limit):
            async with preemptible(ledger, hold):
                uploads = await read_images(
                    request, settings.max_image_bytes, settings.max_batch_images, partial(ledger.grow, hold)
                )
            with admission.place(client):
                work = asyncio.gather(*(_one(request, upload, query, limit, state) for upload in uploads))
                answers = await cancel_on_disconnect(request, work)
    seconds: dict[Stage, float] = {}
    for _, stages in answers:
        for stage, duration in stages.items():
            seconds[stage] = seconds.get(stage, 0.0) + duration
    content = BatchResult(results=[result for result, _ in answers]).model_dump_json()
    headers = {"Server-Timing": _server_timing(seconds, time.monotonic() - began)}
    return Answer(content, _JSON, headers, ledger, client)


async def _one(
    request: Request, upload: Upload, query: BatchQuery, limit: Job, state: AppState
) -> tuple[BatchPrediction | BatchError, Mapping[Stage, float]]:
    """Return the result of one image of a batch, and its seconds per stage."""
    job = Job(limit.deadline, f"batches of {limit.client}")
    try:
        if upload.error:
            raise upload.error
        if not upload.data:
            raise MissingImage("the image is empty")
        if len(upload.data) > state.settings.max_image_bytes:
            raise too_large(len(upload.data), state.settings.max_image_bytes)
        analysis = await state.executor.run(upload.data, query.options(), job)
    except RequestError as error:
        return BatchError(name=upload.name, error=problem_of(error)), {}
    record_image(request.scope, analysis, job)
    return BatchPrediction(name=upload.name, **dict(analysis.prediction)), job.seconds


def _server_timing(seconds: Mapping[Stage, float], total: float) -> str:
    """Return the Server-Timing header (W3C), in milliseconds."""
    return ", ".join(f"{stage};dur={value * 1e3:.2f}" for stage, value in [*seconds.items(), ("total", total)])
