"""POST /analyze: DeepFace's interface, for programs that were written for it."""

import time
from functools import partial
from typing import Final

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from fer_service.analysis.options import Options
from fer_service.contract.deepface import EMOTION, DeepFaceRequest, DeepFaceResult, deepface_result
from fer_service.contract.errors import InvalidParameter
from fer_service.contract.job import Job
from fer_service.http.admitted import admitted
from fer_service.http.answers import Answer
from fer_service.http.authentication import authenticate
from fer_service.http.deepface_body import form_options, read_deepface
from fer_service.http.image_work import record_image, server_timing
from fer_service.http.openapi import DEEPFACE_RESULT, ONE_IMAGE_AS_JSON, answered, refused
from fer_service.http.state import get_state
from fer_service.http.uploads import media_type_of, read_image, read_json, too_large

_JSON: Final = "application/json"
_IMG: Final = {
    "type": "string",
    "description": "The image in base64, or as a data URL. Addresses are not fetched.",
}
_OPTIONS: Final = DeepFaceRequest.model_json_schema()["properties"]
_BODY: Final = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["img"],
            "properties": {
                "img": {"type": "string", "format": "binary"},
                "actions": {"type": "string", "default": EMOTION, "description": f"Must be `{EMOTION}`"},
                "enforce_detection": _OPTIONS["enforce_detection"],
            },
        }
    },
    _JSON: {
        "schema": {
            "type": "object",
            "required": ["img", "actions"],
            "properties": {"img": _IMG, **_OPTIONS},
            "example": {"img": "data:image/jpeg;base64,…", "actions": [EMOTION]},
        }
    },
}

router = APIRouter(tags=["predict"])


@router.post(
    "/analyze",
    response_model=DeepFaceResult,
    summary="Analyze one image, in DeepFace's form",
    responses=answered("The faces in DeepFace's form.", {_JSON: {"example": DEEPFACE_RESULT}}, "Server-Timing")
    | refused(*ONE_IMAGE_AS_JSON),
    openapi_extra={"requestBody": {"required": True, "content": _BODY}},
)
async def analyze(request: Request) -> Response:
    """Answer as DeepFace's `POST /analyze` with the action `emotion`; percentages instead of probabilities.

    An image without a face is 422 `invalid_parameter`, unless `enforce_detection` is false.
    """
    state = get_state(request)
    client = authenticate(request, state.keys)
    began = time.monotonic()
    job = Job(began + state.settings.request_timeout, client)
    max_bytes = state.settings.max_image_bytes
    async with admitted(request, state, job) as work:
        async with work.upload() as book:
            if media_type_of(request) == _JSON:
                body = await read_json(request, 1, max_bytes, book)
                image, asked = await run_in_threadpool(read_deepface, body)
            else:
                upload = await read_image(request, max_bytes, book, DeepFaceRequest.model_fields)
                image, asked = upload.data, form_options(upload.texts)
        if len(image) > max_bytes:
            raise too_large(len(image), max_bytes)
        options = Options(
            detect=asked.detector_backend != "skip",
            whole_if_none=not asked.enforce_detection,
            max_faces=asked.max_faces,
        )
        analysis = await work.result(partial(state.executor.run, image, options, job))
    record_image(request.scope, analysis, job)
    if not analysis.prediction.faces:
        raise InvalidParameter(
            "no face was detected; send enforce_detection=false to take the whole image as one face"
        )
    headers = {"Server-Timing": server_timing(job.seconds, time.monotonic() - began)}
    content = deepface_result(analysis.prediction).model_dump_json()
    return Answer(content, _JSON, headers, state.admission.ledger, client)
