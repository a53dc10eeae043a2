"""Description of each route in the OpenAPI schema: statuses, media types, headers, and real answers."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from fer_service.contract import errors
from fer_service.contract.deepface import deepface_result
from fer_service.contract.errors import RequestError
from fer_service.contract.extras import install_command
from fer_service.contract.inference import MODEL, InferenceError
from fer_service.contract.schemas import Prediction, VideoEnd, VideoFrame, VideoStart
from fer_service.http.middleware.request_metrics import REQUEST_ID
from fer_service.http.problems import MEDIA_TYPE, PROBLEMS, headers_of, problem_of

Responses = dict[int | str, dict[str, Any]]

TAGS: Final = [
    {"name": "predict", "description": "Faces of images and their apparent emotions."},
    {"name": "model", "description": "The model and the detector in use."},
    {
        "name": "inference",
        "description": "The Open Inference Protocol, version 2, for KServe, Triton's clients and gateways.",
    },
    {"name": "operations", "description": "Probes and metrics for operators; they need no API key."},
]
PREDICTION: Final[dict[str, Any]] = {
    "image": {"width": 512, "height": 512},
    "faces": [
        {
            "box": {"x": 176, "y": 76, "width": 92, "height": 105},
            "score": 0.9992,
            "landmarks": {
                "right_eye": [205, 101],
                "left_eye": [246, 103],
                "nose": [226, 124],
                "mouth_right": [203, 139],
                "mouth_left": [244, 141],
            },
            "roll": 3.3,
            "quality": {
                "size": 92,
                "sharpness": 0.135,
                "exposure": 0.552,
                "clipped": 0.0,
                "pose": {"yaw": 3.7, "pitch": -9.9, "roll": 3.0},
                "cut": 0.0,
            },
            "emotion": "happy",
            "confidence": 0.922241,
            "uncertain": False,
            "reasons": [],
            "probabilities": {
                "angry": 0.015829,
                "disgust": 0.002589,
                "fear": 0.011778,
                "happy": 0.922241,
                "sad": 0.017043,
                "surprise": 0.008445,
                "neutral": 0.022075,
            },
        }
    ],
    "model": {"name": "taught-compact", "version": "0.1.0"},
    "summary": {"faces": 1, "emotions": {"happy": 1}, "uncertain": 0.0},
}
BATCH_RESULT: Final = {
    "results": [
        {"name": "astronaut.jpg", **{name: PREDICTION[name] for name in ("image", "faces", "model")}},
        {
            "name": "notes.txt",
            "error": {
                "type": "about:blank",
                "title": "Image cannot be decoded",
                "status": 422,
                "detail": "unknown image format or damaged header (6 bytes); supported formats: "
                "JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, HEIC",
                "code": "undecodable_image",
            },
        },
    ],
    "summary": PREDICTION["summary"],
}
_FACE: Final = PREDICTION["faces"][0]
_TRACKED: Final = {"id": 1, **_FACE, "raw_probabilities": _FACE["probabilities"]}
_TIME_SUMMARY: Final = {**PREDICTION["summary"], "frames": 1, "tracks": 1}
VIDEO_LINES: Final = {
    "example": "\n".join(
        line.model_dump_json()
        for line in (
            VideoStart(duration=0.04),
            VideoFrame.model_validate(
                {
                    **{name: PREDICTION[name] for name in ("image", "model")},
                    **{"frame": 0, "time": 0.0, "progress": 0.0, "faces": [_TRACKED]},
                }
            ),
            VideoEnd.model_validate({"summary": _TIME_SUMMARY, "damage": []}),
        )
    ),
}
_OUTPUTS: Final = {
    "image_index": ("INT32", [1], [0]),
    "boxes": ("INT32", [1, 4], list(_FACE["box"].values())),
    "scores": ("FP32", [1], [_FACE["score"]]),
    "emotions": ("BYTES", [1], [_FACE["emotion"]]),
    "probabilities": ("FP32", [1, 7], list(_FACE["probabilities"].values())),
    "json": ("BYTES", [1], [json.dumps(PREDICTION, separators=(",", ":"))]),
}
INFERENCE_ANSWER: Final = {
    "model_name": MODEL,
    "model_version": "0.1.0",
    "outputs": [
        {"name": name, "datatype": datatype, "shape": shape, "data": data}
        for name, (datatype, shape, data) in _OUTPUTS.items()
    ],
}
_DATA: Final = {
    "datatype": {"type": "string", "enum": ["BYTES", "UINT8"]},
    "shape": {"type": "array", "items": {"type": "integer"}},
    "data": {"type": "array", "description": "Images in base64, or the values of crops in row-major order."},
}


def _tensor(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    named = {"name": {"type": "string"}, "parameters": {"type": "object"}, **properties}
    return {"type": "object", "required": ["name", *required], "properties": named}


_IMAGES: Final = {"name": "images", "datatype": "BYTES", "shape": [1], "data": ["<base64>"]}
INFERENCE_REQUEST: Final = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["inputs"],
            "properties": {
                "id": {"type": "string", "maxLength": 128},
                "parameters": {
                    "type": "object",
                    "description": "`detect`, `max_faces`, `min_score`, `binary_data_output`; others are ignored.",
                },
                "inputs": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 1,
                    "items": _tensor(_DATA, "datatype", "shape"),
                },
                "outputs": {"type": "array", "items": _tensor({})},
            },
        },
        "example": {"inputs": [_IMAGES], "parameters": {"max_faces": 10}},
    },
    "application/octet-stream": {
        "schema": {
            "type": "string",
            "format": "binary",
            "description": "JSON of the length that the header Inference-Header-Content-Length gives, with "
            "`binary_data_size` instead of `data`, and the bytes of the tensor behind it.",
        }
    },
}
DEEPFACE_RESULT: Final = deepface_result(Prediction.model_validate(PREDICTION)).model_dump()
# Details of the errors, as the service gives them with its default settings.
_DETAILS: Final[dict[type[RequestError], str]] = {
    errors.InvalidRequest: "the request is not valid HTTP",
    errors.MissingImage: "the image is empty; send its bytes as the body or as the field 'file'",
    errors.InvalidTensor: "images: the datatype must be BYTES, not FP32",
    errors.UnknownModel: "unknown model 'resnet' or version; the model is taught-compact 0.1.0, also called "
    f"{MODEL}",
    errors.Unauthorized: "missing API key; send it as X-API-Key or as Authorization: Bearer",
    errors.NotAcceptable: "Accept: image/webp allows none of the offered application/json, image/jpeg, image/png",
    errors.RequestTooSlow: "the head took more than 10 s",
    errors.ImageTooLarge: "the image has 20,971,521 bytes, the maximum is 20,971,520 (FER_MAX_IMAGE_BYTES)",
    errors.TooManyPixels: "the image has 10000×6000 = 60,000,000 pixels; the maximum is 51,000,000 "
    "(FER_MAX_IMAGE_PIXELS)",
    errors.UrlTooLong: "the URL has more than 8192 bytes",
    errors.UnsupportedMediaType: "unsupported content type text/plain; send image/*, application/octet-stream, "
    "multipart/form-data or application/json",
    errors.UnsupportedCoding: "Content-Encoding gzip is not supported; send the file as it is: bodies must not "
    "be compressed or encoded",
    errors.MisdirectedRequest: "this service does not answer to the host evil.example; the setting "
    "FER_ALLOWED_HOSTS lists the hosts",
    errors.UndecodableImage: "this is a PDF document: send an image of the page. Supported formats: JPEG, PNG, "
    "WEBP, GIF, BMP, TIFF, AVIF, HEIC",
    errors.UndecodableVideo: "cannot read the file as a video: it is a PDF document",
    errors.VideosNotSupported: f"the service cannot read videos: {install_command('video')}",
    errors.InvalidParameter: "min_score: must be at most 1.0, not 2",
    errors.Overloaded: "too many requests in flight; retry after a moment",
    errors.Preempted: "the upload stood still while others needed the memory; retry after a moment",
    errors.HeadTooLarge: "the head has more than 65536 bytes or 100 lines",
    errors.InternalError: "internal error; see the server log",
    errors.InsufficientMemory: "not enough memory to decode the image; try again later",
    errors.NotReady: "the model is not loaded yet",
    errors.Draining: "the process is shutting down",
    errors.DeadlineExceeded: "request timed out (FER_REQUEST_TIMEOUT)",
}
INFERENCE: Final = (
    *(errors.InvalidTensor, errors.UnknownModel, errors.Unauthorized, errors.ImageTooLarge),
    *(errors.UnsupportedCoding, errors.Overloaded, errors.Preempted, errors.NotReady, errors.DeadlineExceeded),
)
_HEADERS: Final[dict[str, str]] = {
    REQUEST_ID: "The client's own id if it is valid, otherwise a new one",
    "Inference-Header-Content-Length": "Bytes of JSON before the binary tensors",
    "Server-Timing": "Milliseconds of each stage and in total",
    "Vary": "Accept: the answer depends on it",
    "X-Accel-Buffering": "no: a proxy passes on each line at once",
    "Cache-Control": "no-store",
    "Retry-After": "Seconds to wait before the next attempt",
    "WWW-Authenticate": "How to send an API key",
    "Accept-Encoding": "identity: bodies must not be compressed",
    "Connection": "close: the rest of the body is not read",
}
# Any request can end so; the connection refuses some before they have an id.
_NO_ID: Final = (errors.InvalidRequest, errors.RequestTooSlow, errors.UrlTooLong, errors.HeadTooLarge)
_ALWAYS: Final = (*_NO_ID, errors.MisdirectedRequest, errors.InternalError)
_UPLOAD: Final = (
    *(errors.MissingImage, errors.Unauthorized, errors.ImageTooLarge, errors.UnsupportedMediaType),
    *(errors.UnsupportedCoding, errors.InvalidParameter, errors.Overloaded, errors.Preempted, errors.NotReady),
    errors.DeadlineExceeded,
)
BATCH: Final = _UPLOAD
ONE_IMAGE_AS_JSON: Final = (
    *_UPLOAD,
    *(errors.TooManyPixels, errors.UndecodableImage, errors.InsufficientMemory),
)
VIDEO: Final = (
    *_UPLOAD,
    errors.InsufficientMemory,
    errors.UndecodableVideo,
    errors.VideosNotSupported,
    errors.Draining,
)
ONE_IMAGE: Final = (*ONE_IMAGE_AS_JSON, errors.NotAcceptable)


def refused(*kinds: type[RequestError]) -> Responses:
    """Return the responses of a route that may raise these errors, and those that any request may get."""
    by_status: dict[int, list[type[RequestError]]] = {}
    for kind in PROBLEMS:  # by status
        if kind in kinds or kind in _ALWAYS:
            by_status.setdefault(PROBLEMS[kind].status, []).append(kind)
    return {status: _refusal(found) for status, found in by_status.items()}


def inference_refused(*kinds: type[RequestError]) -> Responses:
    """Return what `refused` does, for a route of the Open Inference Protocol, whose errors have one text."""
    responses = refused(*kinds)
    for response in responses.values():
        (described,) = response["content"].values()
        examples = {
            code: {**example, "value": {"error": example["value"]["detail"]}}
            for code, example in described["examples"].items()
        }
        response["content"] = {"application/json": {"examples": examples}}
        response["model"] = InferenceError
    return responses


def answered(description: str, content: Mapping[str, Mapping[str, Any]], *headers: str) -> Responses:
    """Return the response 200 of a route.

    Args:
        description: What it is.
        content: By media type: its schema or example.
        headers: Names of its headers besides X-Request-ID.
    """
    return {
        200: {"description": description, "content": dict(content), "headers": _described([REQUEST_ID, *headers])}
    }


def _refusal(kinds: list[type[RequestError]]) -> dict[str, Any]:
    examples = {
        PROBLEMS[kind].code: {
            "summary": (kind.__doc__ or PROBLEMS[kind].code).splitlines()[0],  # -OO removes docstrings
            "value": problem_of(kind(_DETAILS[kind])).model_dump(),
        }
        for kind in kinds
    }
    return {
        "description": " ".join(f"`{code}`: {example['summary']}" for code, example in examples.items()),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}},
        "headers": _described(
            header
            for kind in kinds
            for header in ([] if kind in _NO_ID else [REQUEST_ID]) + list(headers_of(kind))
        ),
    }


def _described(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}
