"""A request's query parameters."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from fer_service.analysis.analyzer import Options
from fer_service.analysis.drawing import DrawnFormat
from fer_service.contract.errors import InvalidParameter
from fer_service.contract.validation import first_error
from fer_service.tracking.tracked_stream import HALF_LIFE

_Query = TypeVar("_Query", bound=BaseModel)


class PredictQuery(BaseModel):
    """Parameters of the prediction routes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    detect: bool = Field(True, description="`false` takes the whole image as one face.")
    # A query has no null; OpenAPI would offer it.
    max_faces: Annotated[int | None, WithJsonSchema({"type": "integer", "minimum": 1})] = Field(
        None, ge=1, description="Maximum faces in the answer, the largest first; FER_MAX_FACES by default."
    )
    min_score: Annotated[float | None, WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})] = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Leave out faces below this detector score; FER_MIN_SCORE by default.",
    )

    def options(self, draw: DrawnFormat | None = None) -> Options:
        """Return the analyzer's options.

        Args:
            draw: Format of a drawn answer.
        """
        return Options(self.detect, self.max_faces, self.min_score, draw)


class StreamQuery(PredictQuery):
    """Parameters of a stream."""

    smooth: float = Field(
        HALF_LIFE,
        ge=0,
        le=60,
        allow_inf_nan=False,
        description="Half-life of the smoothing in seconds; 0 disables it.",
    )

    def options(self, draw: DrawnFormat | None = None) -> Options:
        """Return the analyzer's options: the frames of a camera are upright."""
        return replace(super().options(draw), turned=False)


def parse_query(model: type[_Query], parameters: Mapping[str, str]) -> _Query:
    """Validate the query of a WebSocket, whose errors FastAPI would not answer with problem details.

    Args:
        model: Its fields are the parameters.
        parameters: Values by name.

    Raises:
        InvalidParameter: a parameter is unknown or out of range.
    """
    try:
        return model.model_validate(dict(parameters))
    except ValidationError as error:
        raise InvalidParameter(first_error(error.errors()).sentence("the query")) from error
