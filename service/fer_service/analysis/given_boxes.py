"""Boxes that the client gives instead of detection."""

import math
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, FailFast, Field, TypeAdapter, ValidationError

from fer_service.contract.boxes import Box
from fer_service.contract.errors import InvalidParameter
from fer_service.contract.validation import first_error
from fer_service.detection.detector import Face

MAX_BYTES: Final = 2**18  # of the JSON text; a box with landmarks has about 250
_FORM: Final = '[{"x": 10, "y": 20, "width": 80, "height": 100}]'
_MAX_SIDE: Final = 2  # of a box, as a multiple of the image's long side
_Point = tuple[float, float]


class _Given(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _Landmarks(_Given):
    right_eye: _Point
    left_eye: _Point
    nose: _Point
    mouth_right: _Point
    mouth_left: _Point


class _Box(_Given):
    x: float
    y: float
    width: float = Field(ge=1)
    height: float = Field(ge=1)
    landmarks: _Landmarks | None = None

    def face(self) -> Face:
        """Return the face; its landmarks tell by which right angle it is turned."""
        box = Box(self.x, self.y, self.width, self.height)
        if self.landmarks is None:
            return Face(box)
        points: tuple[_Point, ...] = tuple(getattr(self.landmarks, name) for name in _Landmarks.model_fields)
        right_eye, left_eye, _, mouth_right, mouth_left = points
        # From between the eyes to the mouth; the line of the eyes is short in profile.
        x, y = (mouth_right[n] + mouth_left[n] - right_eye[n] - left_eye[n] for n in (0, 1))
        turns = round(math.atan2(-x, y) / (math.pi / 2))
        return Face(box, landmarks=points, roll=(turns + 1) % 4 * 90 - 90)


_BOXES: Final = TypeAdapter(Annotated[list[_Box], FailFast()])


def parse_boxes(text: str | bytes) -> tuple[Face, ...]:
    """Read the parameter `boxes`.

    Args:
        text: A JSON list of objects with `x`, `y`, `width`, `height` and, optionally, `landmarks` as the answers
            have them, in pixels of the upright image.

    Raises:
        InvalidParameter: the text has another form; the message names the box.
    """
    if len(text) > MAX_BYTES:
        raise InvalidParameter(f"boxes: the text has {len(text):,} bytes, the maximum is {MAX_BYTES:,}")
    try:
        boxes = _BOXES.validate_json(text)
    except ValidationError as error:
        field = first_error(error.errors(include_url=False))
        path = f"boxes.{field.path}" if field.path else "boxes"
        raise InvalidParameter(f"{field._replace(path=path).sentence('boxes')}; send {_FORM}") from error
    if not boxes:
        raise InvalidParameter("boxes: the list is empty; leave it out to detect the faces")
    return tuple(box.face() for box in boxes)


def check_boxes(faces: Sequence[Face], width: int, height: int) -> None:
    """Refuse boxes that do not belong to an image.

    Args:
        faces: Given faces.
        width: Width of the upright image in pixels.
        height: Height of the upright image in pixels.

    Raises:
        InvalidParameter: a box is outside the image or too large, or its landmarks are far from it.
    """
    for number, face in enumerate(faces):
        box, image = face.box, f"the image of {width}×{height} pixels"
        shown = f"boxes.{number}: the box of {box.width:g}×{box.height:g} pixels at {box.x:g}, {box.y:g}"
        if max(box.width, box.height) > _MAX_SIDE * max(width, height):
            raise InvalidParameter(f"{shown} is more than {_MAX_SIDE} times as large as {image}")
        if box.x >= width or box.y >= height or box.x + box.width <= 0 or box.y + box.height <= 0:
            raise InvalidParameter(f"{shown} lies outside {image}")
        for x, y in face.landmarks or ():
            if not (-1 <= (x - box.x) / box.width <= 2 and -1 <= (y - box.y) / box.height <= 2):
                raise InvalidParameter(f"{shown} has a landmark too far outside it, at {x:g}, {y:g}")
