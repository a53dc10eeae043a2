import json

from fer_service.contract.errors import Overloaded, TooManyPixels
from fer_service.contract.schemas import Problem
from fer_service.http.problems import error_response, problem_of, problem_response


def test_an_error_becomes_problem_details() -> None:
    assert problem_of(TooManyPixels("9 pixels; 4 are allowed")) == Problem(
        title="The image has too many pixels",
        status=413,
        detail="9 pixels; 4 are allowed",
        code="too_many_pixels",
    )


def test_problem_details_travel_as_such() -> None:
    response = error_response(TooManyPixels("9 pixels"))
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(bytes(response.body))["type"] == "about:blank"
    assert "retry-after" not in response.headers


def test_who_comes_at_a_bad_time_is_told_when_to_come_again() -> None:
    assert error_response(Overloaded("busy")).headers["retry-after"] == "1"


def test_headers_can_be_added() -> None:
    problem = Problem(title="Method Not Allowed", status=405, detail="", code="method_not_allowed")
    assert problem_response(problem, {"Allow": "POST"}).headers["allow"] == "POST"
