"""Every error as RFC 9457 problem details, made in one place."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from fer_service.contract.errors import InvalidParameter, Overloaded, RequestError, Unauthorized
from fer_service.contract.schemas import Problem
from fer_service.contract.validation import first_error

MEDIA_TYPE = "application/problem+json"
_CLIENT_CLOSED_REQUEST = 499  # nginx's number; nobody is there to read it, the metrics are


def problem_of(error: RequestError) -> Problem:
    """The problem details of an error."""
    return Problem(title=error.title, status=error.status, detail=str(error), code=error.code)


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """An HTTP response with problem details."""
    return Response(problem.model_dump_json(), problem.status, headers, MEDIA_TYPE)


def error_response(error: RequestError) -> Response:
    """The HTTP response to an error."""
    headers = None
    if isinstance(error, Overloaded):
        headers = {"Retry-After": "1"}
    elif isinstance(error, Unauthorized):
        headers = {"WWW-Authenticate": 'Bearer realm="fer-service"'}
    return problem_response(problem_of(error), headers)


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error of the app's routes with problem details."""

    @app.exception_handler(RequestError)
    async def expected(request: Request, error: RequestError) -> Response:
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        mistake = first_error(error.errors())
        _, _, name = mistake.place.partition(".")  # of the query or the body
        return error_response(InvalidParameter(mistake._replace(place=name).sentence("the request")))

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> Response:
        phrase = HTTPStatus(error.status_code).phrase
        problem = Problem(
            title=phrase,
            status=error.status_code,
            detail=f"{request.method} {request.url.path}: {error.detail}",
            code=phrase.lower().replace(" ", "_"),
        )
        return problem_response(problem, dict(error.headers or {}))

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=_CLIENT_CLOSED_REQUEST)
