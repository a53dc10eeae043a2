import pytest
from fer_service.contract.validation import FieldError, first_error
from pydantic import BaseModel, ValidationError


class Inner(BaseModel):
    sizes: list[int]


class Outer(BaseModel):
    inner: Inner


def error_in(text: str) -> FieldError:
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate_json(text)
    return first_error(refused.value.errors())


def test_the_path_has_dots() -> None:
    error = error_in('{"inner": {"sizes": [1, "two", "three"]}}')
    assert (error.path, error.value) == ("inner.sizes.1", "two")
    assert error.sentence("the whole file").startswith("inner.sizes.1: must be a whole number, not two")


def test_an_error_of_the_whole_document_names_it() -> None:
    assert error_in("{").sentence("the whole file").startswith("the whole file: Invalid JSON")
