"""A request's query parameters."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator

from fer_service.analysis.drawing import Drawing, DrawnFormat
from fer_service.analysis.given_boxes import parse_boxes
from fer_service.analysis.options import Options
from fer_service.contract.errors import InvalidParameter
from fer_service.contract.validation import first_error
from fer_service.http.multipart import BOXES, ONE_IMAGE_ONLY
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
        return Options(detect=self.detect, max_faces=self.max_faces, min_score=self.min_score, draw=draw)


class ImageQuery(PredictQuery):
    """Parameters of the route for one image."""

    boxes: Annotated[str | None, WithJsonSchema({"type": "string"})] = Field(
        None,
        description="Faces instead of detection: a JSON list of objects with `x`, `y`, `width`, `height` and, "
        "optionally, `landmarks`, in pixels of the upright image. They are answered in this order.",
    )
    draw: Annotated[Drawing | None, WithJsonSchema({"type": "string", "enum": get_args(Drawing)})] = Field(
        None,
        description="What an answer of the type image/jpeg or image/png shows: boxes and labels (`box`, the "
        "default), covered faces (`blur`, `pixelate`), or the image alone (`none`).",
    )

    session: Annotated[str | None, WithJsonSchema({"type": "string"})] = Field(
        None,
        description="`new`, or the `session` of the last answer: faces keep their `id` from image to image, and "
        "their probabilities are smoothed.",
    )
    smooth: Annotated[float | None, WithJsonSchema({"type": "number", "minimum": 0, "maximum": 60})] = Field(
        None,
        ge=0,
        le=60,
        allow_inf_nan=False,
        description="Half-life of the smoothing of a session in seconds, 0.5 by default; 0 disables it.",
    )

    def options(self, draw: DrawnFormat | None = None) -> Options:
        """Return the analyzer's options.

        Args:
            draw: Format of a drawn answer.

        Raises:
            InvalidParameter: the boxes have another form, or parameters exclude each other.
        """
        if self.draw and not draw:
            raise InvalidParameter("draw applies only to image answers; send Accept: image/jpeg or image/png")
        if self.session is not None and draw:
            raise InvalidParameter("session applies only to JSON answers; send Accept: application/json")
        if self.smooth is not None and self.session is None:
            raise InvalidParameter("smooth: single images are not smoothed; send session=new too")
        boxes = None if self.boxes is None else parse_boxes(self.boxes)
        return replace(super().options(draw), boxes=boxes, drawing=self.draw or "box")


class BatchQuery(PredictQuery):
    """Parameters of the route for several images."""

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, values: Mapping[str, object]) -> Mapping[str, object]:
        if BOXES in values:
            raise ValueError(ONE_IMAGE_ONLY)
        return values


class StreamQuery(PredictQuery):
    """Parameters of frames that follow each other."""

    smooth: float = Field(
        HALF_LIFE,
        ge=0,
        le=60,
        allow_inf_nan=False,
        description="Half-life of the smoothing in seconds; 0 disables it.",
    )

    def options(self, draw: DrawnFormat | None = None) -> Options:
        """Return the analyzer's options: the frames of cameras and videos are upright."""
        return replace(super().options(draw), turned=False)


class VideoQuery(StreamQuery):
    """Parameters of the route for videos."""

    every: float = Field(
        0.0,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="Seconds between analysed frames; 0 analyses every frame.",
    )


def with_boxes(options: Options, text: bytes | None) -> Options:
    """Add the boxes of a body to the options of its query.

    Args:
        options: Options of the query.
        text: JSON text of the boxes, or None.

    Raises:
        InvalidParameter: the boxes have another form, or come twice.
    """
    if not text:  # a form also sends empty fields
        return options
    if options.boxes is not None:
        raise InvalidParameter("boxes are in the query and in the body: send them once")
    return replace(options, boxes=parse_boxes(text))


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
