"""Pydantic's validation errors as sentences."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from fer_service.contract.text import printable

# Plainer than pydantic's messages, by its error types; the braces take values from the error's context.
_MESSAGES: Final = {
    "extra_forbidden": "unknown name",
    "missing": "missing",
    "model_type": "must be a mapping of names to values",
    "model_attributes_type": "must be a mapping of names to values",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "list_type": "must be a list",
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping of names to values",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} value(s)",
    "too_long": "must have at most {max_length} values",
    "json_invalid": "invalid JSON: {error}",
    "tuple_type": "must be a list",
    "bool_parsing": "must be true or false",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be greater than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be {expected}",
}


class FieldError(NamedTuple):
    """One invalid value.

    Attributes:
        path: Path of the field, with dots between names and indices; empty for the whole document.
        message: What is wrong.
        value: The invalid value.
    """

    path: str
    message: str
    value: object

    def sentence(self, whole: str) -> str:
        """Return path, message and value; `whole` is the name of the whole document."""
        value = (
            f", not {printable(self.value)}" if self.message.startswith("must") and _is_scalar(self.value) else ""
        )
        return f"{self.path or whole}: {self.message}{value}"


def first_error(errors: Sequence[Any]) -> FieldError:
    """Return the first error (see `field_errors`)."""
    return field_errors(errors[:1])[0]


def field_errors(errors: Sequence[Any]) -> list[FieldError]:
    """Return all errors.

    Args:
        errors: Result of `errors()` of pydantic's ValidationError or of FastAPI's RequestValidationError.
    """
    return [FieldError(".".join(map(str, error["loc"])), _message(error), error["input"]) for error in errors]


def _message(error: Any) -> str:
    template = _MESSAGES.get(error["type"])
    if template:
        return template.format(**error.get("ctx", {}))
    message: str = error["msg"].removeprefix("Value error, ")
    return message.replace("Input should ", "must ", 1)


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float)
