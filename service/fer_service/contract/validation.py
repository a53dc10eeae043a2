"""What pydantic finds wrong first: one mistake is enough for a sentence that people read."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class FieldError(NamedTuple):
    """One value that is not as it has to be.

    Attributes:
        place: Where it stands: names and indices with dots between; empty for the whole.
        message: What it would have to be.
        given: The value.
    """

    place: str
    message: str
    given: object

    def sentence(self, whole: str) -> str:
        """Place and message; `whole` names what all places are in."""
        return f"{self.place or whole}: {self.message}"


def first_error(errors: Sequence[Any]) -> FieldError:
    """The first of a validation's errors.

    Args:
        errors: As `errors()` of pydantic's ValidationError, or of FastAPI's about a request, gives them.
    """
    first = errors[0]
    return FieldError(".".join(map(str, first["loc"])), first["msg"], first["input"])
