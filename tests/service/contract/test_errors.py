import pytest
from fer_service.contract import errors
from fer_service.contract.errors import ClipError, FerError, RequestError, StartError
from fer_service.http.problems import error_response

REQUEST_ERRORS = RequestError.__subclasses__()


def test_all_errors_have_one_root() -> None:
    everything = [value for value in vars(errors).values() if isinstance(value, type)]
    assert all(issubclass(error, FerError) for error in everything if issubclass(error, Exception))
    assert set(FerError.__subclasses__()) == {StartError, ClipError, RequestError}


@pytest.mark.parametrize("error", REQUEST_ERRORS)
def test_every_request_error_says_its_status_code_and_title(error: type[RequestError]) -> None:
    assert 400 <= error.status < 600
    assert error.code.replace("_", "").isalpha()
    assert error.code == error.code.lower()
    assert error.title[0].isupper()
    assert (error.__doc__ or "").strip()


def test_codes_are_unique() -> None:
    codes = [error.code for error in REQUEST_ERRORS]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("missing_image", 400),
        ("unauthorized", 401),
        ("forbidden", 403),
        ("not_acceptable", 406),
        ("image_too_large", 413),
        ("too_many_pixels", 413),
        ("unsupported_media_type", 415),
        ("undecodable_image", 422),
        ("invalid_parameter", 422),
        ("overloaded", 429),
        ("internal_error", 500),
        ("not_ready", 503),
        ("draining", 503),
        ("deadline_exceeded", 504),
    ],
)
def test_the_codes_are_the_published_ones(code: str, status: int) -> None:
    (error,) = [error for error in REQUEST_ERRORS if error.code == code]
    assert error_response(error("text")).status_code == error.status == status
