"""Answers to requests that no application sees."""

from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from fer_service.contract.errors import RequestError
from fer_service.http.problems import MEDIA_TYPE, problem_of


def refusal(error: RequestError, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return an answer of HTTP/1.1 that has the problem of an error, and after which the connection closes.

    Args:
        error: Why the request is refused.
        headers: Headers that every answer has.
    """
    problem = problem_of(error)
    body = problem.model_dump_json().encode()
    own = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in [*headers, *own])
    return STATUS_LINE[problem.status] + lines + b"\r\n" + body
