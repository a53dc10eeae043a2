"""POST /predict and POST /predict/batch."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from fer_service.analysis.drawing import DrawnFormat
from fer_service.contract.job import Job
from fer_service.contract.schemas import BatchResult, Landmarks, Prediction, SessionPrediction
from fer_service.http.admitted import admitted
from fer_service.http.answers import Answer
from fer_service.http.authentication import authenticate
from fer_service.http.image_batch import analyze_batch
from fer_service.http.image_work import record_image, server_timing
from fer_service.http.json_body import IMAGE, IMAGES
from fer_service.http.multipart import FIELD
from fer_service.http.negotiation import negotiate
from fer_service.http.openapi import BATCH, BATCH_RESULT, ONE_IMAGE, PREDICTION, answered, refused
from fer_service.http.query import BatchQuery, ImageQuery, with_boxes
from fer_service.http.sessions import open_session, session_answer
from fer_service.http.state import get_state
from fer_service.http.uploads import read_image, read_images

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


# In a form the boxes are a text. A page that offers an example of them would send faces of no size.
_BOXES_AS_TEXT: Final = {
    "type": "string",
    "default": "",
    "description": _GIVEN_BOXES["description"],
}
# A grey square, so that the example can be sent.
_IMAGE_AS_TEXT: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAADAAAAAwCAAAAAByaaZbAAAAIklEQVR42mOsZyANMDGMahjVMKphVMOohlENoxpGNYwoDQBQ2wDfE9DQoQAA"
    "AABJRU5ErkJggg=="
)

# The routes read their bodies themselves, so OpenAPI learns of them here.
_ONE_IMAGE: Final = {
    "multipart/form-data": _form(_BINARY, boxes=_BOXES_AS_TEXT),
    "application/json": _json(IMAGE, _BASE64, boxes=_GIVEN_BOXES) | {"example": {IMAGE: _IMAGE_AS_TEXT}},
    "image/*": {"schema": _BINARY},
    "application/octet-stream": {"schema": _BINARY},
}
_SEVERAL_IMAGES: Final = {
    "multipart/form-data": _form({"type": "array", "items": _BINARY}),
    "application/json": _json(IMAGES, {"type": "array", "minItems": 1, "items": _BASE64})
    | {"example": {IMAGES: [_IMAGE_AS_TEXT]}},
}

router = APIRouter(tags=["predict"])


@router.post(
    "/predict",
    response_model=Prediction | SessionPrediction,
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
    session = open_session(state.tokens, query)
    began = time.monotonic()
    # What takes long takes turns with what does not, also where one client asks for both.
    turn = f"drawn images of {client}" if drawn else client
    job = Job(began + state.settings.request_timeout, client, turn)
    async with admitted(request, state, job) as work:
        async with work.upload() as book:
            upload = await read_image(request, state.settings.max_image_bytes, book)
        options = with_boxes(options, upload.boxes)
        analysis = await work.result(partial(state.executor.run, upload.data, options, job))
    record_image(request.scope, analysis, job)
    headers = {"Server-Timing": server_timing(job.seconds, time.monotonic() - began), "Vary": "Accept"}
    answer = session_answer(state.tokens, session, analysis.prediction) if session else analysis.prediction
    content = analysis.drawn or answer.model_dump_json()
    return Answer(content, media_type, headers, state.admission.ledger, client)


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
    async with admitted(request, state, limit) as work:
        async with work.upload() as book:
            uploads = await read_images(request, settings.max_image_bytes, settings.max_batch_images, book)
        batch = partial(analyze_batch, request, uploads, query.options(), limit, state)
        results, seconds = await work.result(batch)
    content = BatchResult(results=results).model_dump_json()
    headers = {"Server-Timing": server_timing(seconds, time.monotonic() - began)}
    return Answer(content, _JSON, headers, state.admission.ledger, client)
