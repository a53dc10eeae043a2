"""The public JSON."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Point = tuple[int, int]


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True)


class ImageSize(_Response):
    """The upright image's size in pixels."""

    width: int
    height: int


class BoundingBox(_Response):
    """A face's box in pixels of the upright image, clipped to it."""

    x: int = Field(description="left edge")
    y: int = Field(description="upper edge")
    width: int
    height: int


class Landmarks(_Response):
    """Five points of a face in pixels of the upright image; right and left are the person's own."""

    right_eye: Point
    left_eye: Point
    nose: Point
    mouth_right: Point
    mouth_left: Point


class FaceEmotion(_Response):
    """A face and the emotion that it appears to show."""

    box: BoundingBox
    score: float | None = Field(description="how sure the detector is, 0 to 1; null where it does not say")
    landmarks: Landmarks | None = Field(description="null where the detector has none")
    emotion: str = Field(description="the most likely label")
    confidence: float = Field(description="its probability, calibrated")
    uncertain: bool = Field(description="the confidence is below the model's threshold")
    probabilities: dict[str, float] = Field(description="every label's probability; they sum to 1")


class ModelName(_Response):
    """The model that answered."""

    name: str
    version: str


class Prediction(_Response):
    """An image's faces, the largest first; an empty list where there is none."""

    image: ImageSize
    faces: list[FaceEmotion]
    model: ModelName


class Problem(_Response):
    """An error as RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: Annotated[str, Field(description="stable, for programs")]


class TrackedFace(FaceEmotion):
    """A face of a stream; emotion, confidence and probabilities are smoothed over time."""

    id: int = Field(description="the same face keeps it; never used again in a stream")
    raw_probabilities: dict[str, float] = Field(description="of this frame alone")


class FramePrediction(_Response):
    """What a frame of a stream shows."""

    frame: int = Field(description="the number of the frame, counting from 1 what the client sent")
    time: float = Field(description="when it came, seconds since the stream began")
    image: ImageSize
    faces: list[TrackedFace]
    model: ModelName


class FrameError(_Response):
    """A frame of a stream that could not be answered; the stream goes on."""

    frame: int
    time: float
    error: Problem


class BatchPrediction(_Response):
    """One image of a batch."""

    name: str = Field(description="the file name that the client gave, or the image's number")
    image: ImageSize
    faces: list[FaceEmotion]
    model: ModelName


class BatchError(_Response):
    """One image of a batch that could not be read."""

    name: str
    error: Problem


class BatchResult(_Response):
    """A batch's results in the order of its images."""

    results: list[BatchPrediction | BatchError]


class ModelCard(_Response):
    """The model and the detector in use."""

    name: str
    version: str
    sha256: str
    labels: list[str]
    input_size: int
    uncertain_below: float
    provider: str = Field(description="what onnxruntime really runs the model on")
    detector: str = Field(description="the detector really in use")
    fallback: list[str] = Field(
        description="what `auto` could not choose best: `device` (CPU, not GPU), `detector` (built-in, not YuNet)"
    )
    card: dict[str, Any] = Field(description="everything that the model file says of itself")


class Health(_Response):
    """Whether the process lives or is ready."""

    status: str
