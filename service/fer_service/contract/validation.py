"""The first of pydantic's validation errors, as one sentence."""

from collections.abc import Sequence
from typing import Any, NamedTuple


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
        """Return path and message; `whole` is the name of the whole document."""
        return f"{self.path or whole}: {self.message}"


def first_error(errors: Sequence[Any]) -> FieldError:
    """Return the first error.

    Args:
        errors: Result of `errors()` of pydantic's ValidationError or of FastAPI's RequestValidationError.
    """
    first = errors[0]
    message = "unknown name" if first["type"] == "extra_forbidden" else first["msg"]
    return FieldError(".".join(map(str, first["loc"])), message, first["input"])
