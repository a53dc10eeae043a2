"""A request's query → what it may choose, validated, and OpenAPI's description of it.

The routes read their queries themselves: FastAPI's `Query` model is taken apart and put together anew for each
request, which cost more than all the rest of its routing (docs/decisions/served-cost.md).
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_service.analysis.analyzer import Options
from fer_service.contract.errors import InvalidParameter
from fer_service.contract.validation import first_error

_Query = TypeVar("_Query", bound=BaseModel)


class PredictQuery(BaseModel):
    """What a request may choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    detect: bool = Field(True, description="false takes the whole image as one face")
    max_faces: int | None = Field(None, ge=1, description="at most so many faces, the largest")
    min_score: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, description="leave out faces below this detector score"
    )

    def options(self) -> Options:
        """For the analyzer."""
        return Options(self.detect, self.max_faces, self.min_score)


def checked(model: type[_Query], parameters: Mapping[str, str]) -> _Query:
    """A query as the model that describes it.

    Args:
        model: With a field a parameter.
        parameters: By name; of one that came several times the last.

    Raises:
        InvalidParameter: one is unknown or out of range; the text names it.
    """
    try:
        return model.model_validate(dict(parameters))
    except ValidationError as error:
        raise InvalidParameter(first_error(error.errors()).sentence("the query")) from error


def described(model: type[BaseModel]) -> list[dict[str, Any]]:
    """OpenAPI's description of a query's parameters, all of which may be left out."""
    fields: dict[str, dict[str, Any]] = model.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema.pop("description"),
            "schema": schema,
        }
        for name, schema in fields.items()
    ]
