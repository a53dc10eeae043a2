"""Errors as RFC 9457 problem details: the one place that knows their HTTP status and code."""

from http import HTTPStatus
from typing import Final, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fer_service.contract import errors
from fer_service.contract.errors import InvalidParameter, RequestError
from fer_service.contract.inference import InferenceError
from fer_service.contract.schemas import Problem
from fer_service.contract.validation import first_error

MEDIA_TYPE: Final = "application/problem+json"
INFERENCE_PATH: Final = "/v2"  # of the Open Inference Protocol, whose errors have a form of their own
REFUSED: Final = "refused"  # where a scope's state has the status of a connection's own answer
CLIENT_CLOSED_REQUEST: Final = 499  # nginx's number: the client left, only metrics and logs see it


class ProblemKind(NamedTuple):
    """The fixed part of a problem.

    Attributes:
        status: HTTP status.
        code: Stable, for programs.
        title: Short and the same for every occurrence.
    """

    status: int
    code: str
    title: str


PROBLEMS: Final[dict[type[RequestError], ProblemKind]] = {
    errors.InvalidRequest: ProblemKind(400, "invalid_request", "Invalid request"),
    errors.MissingImage: ProblemKind(400, "missing_image", "No image or video in the request"),
    errors.InvalidTensor: ProblemKind(400, "invalid_tensor", "Invalid inference request"),
    errors.Unauthorized: ProblemKind(401, "unauthorized", "API key missing or invalid"),
    errors.Forbidden: ProblemKind(403, "forbidden", "Origin not allowed"),
    errors.UnknownModel: ProblemKind(404, "unknown_model", "Unknown model"),
    errors.NotAcceptable: ProblemKind(406, "not_acceptable", "No acceptable media type"),
    errors.RequestTooSlow: ProblemKind(408, "request_too_slow", "Request too slow"),
    errors.ImageTooLarge: ProblemKind(413, "image_too_large", "Too many bytes"),
    errors.TooManyPixels: ProblemKind(413, "too_many_pixels", "Too many pixels"),
    errors.UrlTooLong: ProblemKind(414, "url_too_long", "URL too long"),
    errors.UnsupportedMediaType: ProblemKind(415, "unsupported_media_type", "Unsupported content type"),
    errors.UnsupportedCoding: ProblemKind(415, "unsupported_coding", "Compressed bodies are not supported"),
    errors.MisdirectedRequest: ProblemKind(421, "misdirected_request", "Host not served"),
    errors.UndecodableImage: ProblemKind(422, "undecodable_image", "Image cannot be decoded"),
    errors.UndecodableVideo: ProblemKind(422, "undecodable_video", "Video cannot be decoded"),
    errors.InvalidParameter: ProblemKind(422, "invalid_parameter", "Invalid parameter"),
    errors.Overloaded: ProblemKind(429, "overloaded", "Too many requests in flight"),
    errors.Preempted: ProblemKind(429, "preempted", "Upload cancelled for other clients"),
    errors.HeadTooLarge: ProblemKind(431, "head_too_large", "Head too large"),
    errors.InternalError: ProblemKind(500, "internal_error", "Internal error"),
    errors.VideosNotSupported: ProblemKind(501, "videos_not_supported", "Videos are not supported"),
    errors.InsufficientMemory: ProblemKind(503, "insufficient_memory", "Not enough memory"),
    errors.NotReady: ProblemKind(503, "not_ready", "Service not ready"),
    errors.Draining: ProblemKind(503, "draining", "Service shutting down"),
    errors.DeadlineExceeded: ProblemKind(504, "deadline_exceeded", "Request timed out"),
}
_HEADERS: Final[dict[type[RequestError], dict[str, str]]] = {
    errors.Overloaded: {"Retry-After": "1"},
    errors.InsufficientMemory: {"Retry-After": "1"},
    # The rest of the body is not read.
    errors.Preempted: {"Retry-After": "1", "Connection": "close"},
    # RFC 9110, section 12.5.3: this distinguishes it from a refused media type.
    errors.UnsupportedCoding: {"Accept-Encoding": "identity"},
    errors.Unauthorized: {"WWW-Authenticate": 'Bearer realm="fer-service"'},
}


def problem_of(error: RequestError) -> Problem:
    """Return the problem details of an error."""
    kind = PROBLEMS[type(error)]
    return Problem(title=kind.title, status=kind.status, detail=str(error), code=kind.code)


def headers_of(kind: type[RequestError]) -> dict[str, str]:
    """Return the headers of the response to an error."""
    return dict(_HEADERS.get(kind, {}))


def error_response(error: RequestError, path: str = "") -> Response:
    """Return the HTTP response to an error.

    Args:
        error: The error.
        path: Path of the request.
    """
    return _response(problem_of(error), headers_of(type(error)), path)


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error of the app's routes with problem details."""

    @app.exception_handler(RequestError)
    async def refused(request: Request, error: RequestError) -> Response:
        return error_response(error, request.scope["path"])

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        field = first_error(error.errors())
        _, _, name = field.path.partition(".")  # without "query" or "body"
        return error_response(InvalidParameter(field._replace(path=name).sentence("the request")))

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> Response:
        return _routing_response(request.scope, error)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)


async def no_route(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request or stream whose path is unknown (an ASGI app)."""
    await _routing_response(scope, HTTPException(404))(scope, receive, send)


def _routing_response(scope: Scope, error: HTTPException) -> Response:
    phrase = HTTPStatus(error.status_code).phrase
    headers = dict(error.headers or {})
    if allowed := headers.get("Allow"):
        # HEAD is often a route of its own, and the methods of one route have no order.
        methods = {*allowed.split(", ")} | ({"HEAD"} if "GET" in allowed else set())
        headers["Allow"] = ", ".join(sorted(methods))
    problem = Problem(
        title=phrase,
        status=error.status_code,
        detail=f"{scope.get('method', 'GET')} {scope['path']}: {error.detail}",
        code=phrase.lower().replace(" ", "_"),
    )
    return _response(problem, headers, scope["path"])


def _response(problem: Problem, headers: dict[str, str] | None, path: str) -> Response:
    if path == INFERENCE_PATH or path.startswith(f"{INFERENCE_PATH}/"):
        content = InferenceError(error=problem.detail).model_dump_json()
        return Response(content, problem.status, headers, "application/json")
    return Response(problem.model_dump_json(), problem.status, headers, MEDIA_TYPE)
