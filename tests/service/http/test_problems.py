import json

import pytest
from fer_service.contract.errors import (
    Overloaded,
    Preempted,
    RequestError,
    TooManyPixels,
    Unauthorized,
    UnsupportedCoding,
)
from fer_service.contract.schemas import Problem
from fer_service.http.problems import PROBLEMS, error_response, problem_of


def test_every_request_error_has_a_problem_with_a_code_of_its_own() -> None:
    assert set(PROBLEMS) == set(RequestError.__subclasses__())
    codes = [kind.code for kind in PROBLEMS.values()]
    assert len(set(codes)) == len(codes)
    for kind in PROBLEMS.values():
        assert 400 <= kind.status < 600
        assert kind.code.replace("_", "").isalpha()
        assert kind.code == kind.code.lower()
        assert kind.title[0].isupper()


def test_an_error_becomes_problem_details() -> None:
    assert problem_of(TooManyPixels("9 pixels, the maximum is 4")) == Problem(
        title="Too many pixels", status=413, detail="9 pixels, the maximum is 4", code="too_many_pixels"
    )


def test_problem_details_have_their_media_type() -> None:
    response = error_response(TooManyPixels("9 pixels"))
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(bytes(response.body))["type"] == "about:blank"
    assert "retry-after" not in response.headers


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (Overloaded("busy"), "retry-after", "1"),
        (Preempted("stood still"), "retry-after", "1"),
        (Preempted("stood still"), "connection", "close"),
        (UnsupportedCoding("gzip"), "accept-encoding", "identity"),
        (Unauthorized("missing"), "www-authenticate", 'Bearer realm="fer-service"'),
    ],
)
def test_some_errors_need_a_header(error: RequestError, header: str, value: str) -> None:
    assert error_response(error).headers[header] == value
