"""What pydantic finds wrong, as a sentence."""

import pytest
from fer_service.contract.validation import FieldError, first_error
from pydantic import BaseModel, ValidationError


class Inner(BaseModel):
    sizes: list[int]


class Outer(BaseModel):
    inner: Inner


def mistake_in(text: str) -> FieldError:
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate_json(text)
    return first_error(refused.value.errors())


def test_the_place_is_written_with_dots() -> None:
    mistake = mistake_in('{"inner": {"sizes": [1, "two", "three"]}}')
    assert (mistake.place, mistake.given) == ("inner.sizes.1", "two")
    assert mistake.sentence("the whole file").startswith("inner.sizes.1: Input should be a valid integer")


def test_what_is_wrong_as_a_whole_is_named_so() -> None:
    assert mistake_in("{").sentence("the whole file").startswith("the whole file: Invalid JSON")
