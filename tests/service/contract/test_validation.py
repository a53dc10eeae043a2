from datetime import date
from typing import Annotated

import pytest
from fer_service.contract.validation import FieldError, field_errors, first_error
from pydantic import BaseModel, Field, ValidationError


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


def test_all_errors_come_in_order() -> None:
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate_json('{"inner": {"sizes": ["one", 2, "three"]}}')
    assert [error.path for error in field_errors(refused.value.errors())] == ["inner.sizes.0", "inner.sizes.2"]


def test_an_error_of_the_whole_document_names_it() -> None:
    assert error_in("{").sentence("the whole file").startswith("the whole file: invalid JSON: EOF")


class Every(BaseModel):
    text: Annotated[str, Field(min_length=2, max_length=3)] = "ab"
    count: Annotated[int, Field(strict=True)] = 1
    share: float = 0.5
    flag: Annotated[bool, Field(strict=True)] = True
    names: dict[str, str] = {}
    pair: Annotated[list[str], Field(min_length=1, max_length=2)] = ["a"]
    when: date = date(2000, 1, 1)
    raw: bytes = b""


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("text", 1, "text: must be a text, not 1"),
        ("text", "a", "text: must have at least 2 characters, not a"),
        ("text", "abcd", "text: must have at most 3 characters, not abcd"),
        ("count", "1", "count: must be a whole number, not 1"),
        ("share", [], "share: must be a number"),
        ("flag", "maybe", "flag: must be true or false, not maybe"),
        ("names", [], "names: must be a mapping of names to values"),
        ("pair", [], "pair: must have at least 1 value(s)"),
        ("pair", ["a"] * 3, "pair: must have at most 2 values"),
        ("when", "soon", "when: must be a valid date or datetime, input is too short, not soon"),
        ("raw", 1, "raw: must be a valid bytes, not 1"),
    ],
)
def test_sentences_are_plain(field: str, value: object, sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Every.model_validate({field: value})
    assert first_error(refused.value.errors()).sentence("the document") == sentence
