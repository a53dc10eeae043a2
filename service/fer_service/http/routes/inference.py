"""The Open Inference Protocol, version 2, below /v2: images or crops as tensors in, faces as tensors out."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from fer_service import __version__
from fer_service.contract.bundle import INPUT_NAME, OUTPUT_NAME
from fer_service.contract.errors import Draining, InvalidTensor, NotReady, Unauthorized, UnknownModel
from fer_service.contract.inference import (
    EXTENSIONS,
    IMAGES,
    MODEL,
    InferenceAnswer,
    InferenceRequest,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
    TensorMetadata,
)
from fer_service.contract.job import Job
from fer_service.contract.schemas import BatchError, ModelCard, Prediction
from fer_service.contract.text import printable
from fer_service.contract.validation import first_error
from fer_service.http.admitted import admitted
from fer_service.http.answers import Answer
from fer_service.http.authentication import authenticate
from fer_service.http.codings import check_body
from fer_service.http.image_batch import Result, analyze_batch
from fer_service.http.image_work import server_timing
from fer_service.http.openapi import (
    INFERENCE,
    INFERENCE_ANSWER,
    INFERENCE_REQUEST,
    PREDICTION,
    Responses,
    answered,
    inference_refused,
)
from fer_service.http.output_tensors import BINARY, Output, check_outputs, write_answer
from fer_service.http.query import PredictQuery
from fer_service.http.routes.health import livez, readyz
from fer_service.http.state import AppState, get_state
from fer_service.http.tensors import HEADER_LENGTH, Inference, TensorLimits, read_inference
from fer_service.http.uploads import read_json

_PARAMETERS: Final = frozenset(PredictQuery.model_fields)
# FastAPI would document an error 422 of every parameter, which a text cannot have.
_NAME: Final = {
    "name": "name",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": f"`{MODEL}`, or the model's own name as GET /model returns it.",
}
_NO_SCORE: Final = -1.0


def _outputs(results: Sequence[Result | Prediction], labels: Sequence[str]) -> dict[str, Output]:
    """Return the output tensors: one row per face, except `json`, which has one value per image or crop."""
    faces = [
        (index, face)
        for index, result in enumerate(results)
        if not isinstance(result, BatchError)
        for face in result.faces
    ]
    boxes = [(face.box.x, face.box.y, face.box.width, face.box.height) for _, face in faces]
    rows = [[face.probabilities[label] for label in labels] for _, face in faces]
    count = len(faces)
    return {
        "image_index": Output("INT32", [count], [index for index, _ in faces]),
        "boxes": Output("INT32", [count, 4], [value for box in boxes for value in box]),
        "scores": Output("FP32", [count], [_NO_SCORE if face.score is None else face.score for _, face in faces]),
        "emotions": Output("BYTES", [count], [face.emotion for _, face in faces]),
        OUTPUT_NAME: Output("FP32", [count, len(labels)], [value for row in rows for value in row]),
        "json": Output("BYTES", [len(results)], [_answer_of(each) for each in results]),
    }


def _metadata(name: str, version: str, side: int, labels: Sequence[str]) -> ModelMetadata:
    return ModelMetadata(
        name=name,
        versions=[version],
        platform="onnx_onnxruntime",
        inputs=[
            TensorMetadata(name=IMAGES, datatype="BYTES", shape=[-1]),
            TensorMetadata(name=INPUT_NAME, datatype="UINT8", shape=[-1, side, side, 3]),
        ],
        outputs=[
            TensorMetadata(name=output, datatype=tensor.datatype, shape=[-1, *tensor.shape[1:]])
            for output, tensor in _outputs([], labels).items()
        ],
    )


def _answer_of(result: Result | Prediction) -> str:
    """Return what `POST /predict` answers for the image."""
    if isinstance(result, BatchError):
        return result.model_dump_json(exclude={"name"})
    return Prediction(image=result.image, faces=result.faces, model=result.model).model_dump_json()


def _json(description: str, example: BaseModel) -> Responses:
    return answered(description, {"application/json": {"example": example.model_dump()}})


_SERVER: Final = ServerMetadata(name="fer-service", version=__version__, extensions=list(EXTENSIONS))
_EXAMPLE: Final = _metadata(MODEL, __version__, 48, tuple(PREDICTION["faces"][0]["probabilities"]))
probes = APIRouter(prefix="/v2", tags=["inference"])
router = APIRouter(prefix="/v2", tags=["inference"])


@probes.head("/health/live", include_in_schema=False)
@probes.get(
    "/health/live",
    summary="Liveness for gateways",
    responses=_json("The process works.", ServerLive(live=True)) | inference_refused(NotReady),
)
async def live(request: Request) -> ServerLive:
    """Answer 200 while the process works."""
    await livez(request)
    return ServerLive(live=True)


@probes.head("/health/ready", include_in_schema=False)
@probes.get(
    "/health/ready",
    summary="Readiness for gateways",
    responses=_json("Send requests.", ServerReady(ready=True)) | inference_refused(NotReady, Draining),
)
async def ready(request: Request) -> ServerReady:
    """Answer 200 while requests should be sent here."""
    await readyz(request)
    return ServerReady(ready=True)


@probes.head("", include_in_schema=False)
@probes.get(
    "",
    summary="The server and its extensions",
    responses=_json("Name, version and extensions.", _SERVER) | inference_refused(),
)
async def server() -> ServerMetadata:
    """Return name, version and extensions of the server."""
    return _SERVER


@probes.head("/models/{name}/versions/{version}/ready", include_in_schema=False)
@probes.get("/models/{name}/versions/{version}/ready", include_in_schema=False)
@probes.head("/models/{name}/ready", include_in_schema=False)
@probes.get(
    "/models/{name}/ready",
    summary="Readiness of the model",
    responses=_json("Send requests.", ModelReady(name=MODEL, ready=True))
    | inference_refused(UnknownModel, NotReady, Draining),
    openapi_extra={"parameters": [_NAME]},
)
async def model_ready(request: Request) -> ModelReady:
    """Answer 200 while requests should be sent here."""
    name = _model_name(request, get_state(request).card)
    await readyz(request)
    return ModelReady(name=name, ready=True)


@router.head("/models/{name}/versions/{version}", include_in_schema=False)
@router.get("/models/{name}/versions/{version}", include_in_schema=False)
@router.head("/models/{name}", include_in_schema=False)
@router.get(
    "/models/{name}",
    summary="The tensors of the model",
    responses=_json("The tensors of the model.", _EXAMPLE) | inference_refused(UnknownModel, Unauthorized),
    openapi_extra={"parameters": [_NAME]},
)
async def model_metadata(request: Request) -> ModelMetadata:
    """Return the tensors that the model takes and returns. A request has one of the inputs."""
    state = get_state(request)
    authenticate(request, state.keys)
    return _metadata(
        _model_name(request, state.card), state.card.version, state.card.input_size, state.card.labels
    )


@router.post("/models/{name}/versions/{version}/infer", response_model=InferenceAnswer, include_in_schema=False)
@router.post(
    "/models/{name}/infer",
    response_model=InferenceAnswer,
    response_model_exclude_none=True,
    summary="Analyze images or crops",
    responses=answered(
        f"The outputs, as JSON or, where the request wants it, as bytes behind {HEADER_LENGTH} bytes of JSON.",
        {
            "application/json": {"example": INFERENCE_ANSWER},
            BINARY: {"schema": {"type": "string", "format": "binary"}},
        },
        "Server-Timing",
        HEADER_LENGTH,
    )
    | inference_refused(*INFERENCE),
    openapi_extra={"parameters": [_NAME], "requestBody": {"required": True, "content": INFERENCE_REQUEST}},
)
async def infer(request: Request) -> Response:
    """Analyze the encoded images of the input `images`, or the crops of the input `faces`.

    An image that cannot be read has an error in the output `json`; the others are not affected.
    """
    state = get_state(request)
    client, settings = authenticate(request, state.keys), state.settings
    name = _model_name(request, state.card)
    check_body(request.headers)
    began = time.monotonic()
    limit = Job(began + settings.request_timeout, client)
    limits = TensorLimits(
        settings.max_batch_images, settings.max_batch_images * settings.max_faces, state.card.input_size
    )
    async with admitted(request, state, limit) as work:
        async with work.upload() as book:
            body = await read_json(request, settings.max_batch_images, settings.max_image_bytes, book)
            lengths = request.headers.getlist(HEADER_LENGTH)
            inference = await run_in_threadpool(read_inference, body, lengths, limits)
        del body
        check_outputs(inference.request, list(_outputs([], state.card.labels)))
        results, timing = await work.result(partial(_analyzed, request, inference, limit, state))
    answer = InferenceAnswer(
        model_name=name, model_version=state.card.version, id=inference.request.id or None, outputs=[]
    )

    def write() -> tuple[bytes, str, dict[str, str]]:
        return write_answer(answer, _outputs(results, state.card.labels), inference.request)

    content, media_type, headers = await run_in_threadpool(write)
    headers["Server-Timing"] = server_timing(timing, time.monotonic() - began)
    return Answer(content, media_type, headers, state.admission.ledger, client)


def _model_name(request: Request, card: ModelCard) -> str:
    """Return the name by which the request calls the model; refuse other models and versions."""
    name: str = request.path_params["name"]
    version = request.path_params.get("version", card.version)
    if name not in (card.name, MODEL) or version != card.version:
        shown = printable(name[:100])
        raise UnknownModel(
            f"unknown model {shown!r} or version; the model is {card.name} {card.version}, also called {MODEL}"
        )
    return name


async def _analyzed(
    request: Request, inference: Inference, limit: Job, state: AppState
) -> tuple[Sequence[Result | Prediction], dict[Any, float]]:
    options = _query(inference.request).options()
    if inference.crops is None:
        return await analyze_batch(request, inference.images, options, limit, state)
    job = Job(limit.deadline, limit.client, f"batches of {limit.client}")
    return await state.executor.classify(list(inference.crops), job), job.seconds


def _query(request: InferenceRequest) -> PredictQuery:
    """Return the parameters of the request that are ours; clients send others, too."""
    given = {name: value for name, value in request.parameters.items() if name in _PARAMETERS}
    try:
        return PredictQuery.model_validate(given)
    except ValidationError as error:
        raise InvalidTensor(first_error(error.errors()).sentence("the parameters")) from error
