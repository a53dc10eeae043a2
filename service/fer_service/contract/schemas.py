"""JSON schemas of the HTTP API."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, computed_field

# OpenAPI 3.1 would describe the items one by one, which many programs do not read.
Point = Annotated[
    tuple[int, int],
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "integer"},
            "minItems": 2,
            "maxItems": 2,
            "description": "x and y",
            "examples": [[204, 104]],
        }
    ),
]


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True)


class ImageSize(_Response):
    """Size of the upright image in pixels."""

    width: int
    height: int


class BoundingBox(_Response):
    """Box of a face in pixels of the upright image, clipped to it."""

    x: int = Field(description="Left edge")
    y: int = Field(description="Top edge")
    width: int
    height: int


class Landmarks(_Response):
    """Five points of a face in pixels of the upright image; right and left are the person's own."""

    right_eye: Point
    left_eye: Point
    nose: Point
    mouth_right: Point
    mouth_left: Point


class Pose(_Response):
    """Pose of a head in degrees, estimated from its landmarks and a model of the mean face."""

    yaw: float = Field(description="Positive if the face looks to the right in the image; -90 to 90")
    pitch: float = Field(description="Positive if the face looks up; -180 to 180")
    roll: float = Field(description="Positive if the head is turned clockwise in the image; -180 to 180")


class Quality(_Response):
    """Quality of a face in its image."""

    size: int = Field(description="Short side of the box in pixels of the upright image")
    sharpness: float = Field(
        description="Fine detail as a share of the contrast, in what the network sees; below 0.05 is blurred"
    )
    exposure: float = Field(description="Mean level of the face, 0 (black) to 1 (white)")
    clipped: float = Field(description="Share of the face's pixels that are white, 0 to 1")
    pose: Pose | None = Field(description="Null without landmarks")
    cut: float = Field(description="Share of the box outside the image, 0 to 1")


Reason = Literal["small", "turned", "blurred", "dark", "bright", "cut", "close call", "low confidence"]


class FaceEmotion(_Response):
    """A face and its apparent emotion."""

    box: BoundingBox
    score: float | None = Field(description="Score of the detector, 0 to 1; null if it gives none")
    landmarks: Landmarks | None = Field(description="Null with `detect=false`, or if they contradict the detector")
    roll: float = Field(
        description="Degrees by which the face is turned clockwise, above -180 and up to 180, from the landmarks "
        "of eyes and mouth; 0 without landmarks"
    )
    quality: Quality
    emotion: str = Field(description="Most likely label")
    confidence: float = Field(description="Calibrated probability of `emotion`")
    uncertain: bool = Field(description="True if the confidence is below the threshold of the model")
    reasons: list[Reason] = Field(description="Why the face is uncertain; empty if it is not")
    probabilities: dict[str, float] = Field(description="Probability of every label; they sum to 1")


class ModelName(_Response):
    """Name and version of the model."""

    name: str
    version: str


class Summary(_Response):
    """Counts of faces by apparent expression. They do not tell what people feel."""

    faces: int = Field(description="Number of faces")
    emotions: dict[str, int] = Field(description="Faces by their most likely label, the most frequent first")
    uncertain: float | None = Field(
        description="Share of the faces that are uncertain, 0 to 1; null without faces"
    )


class TimeSummary(Summary):
    """Counts over the frames of a video or a stream. A face counts once in each frame."""

    frames: int = Field(description="Number of analysed frames")
    tracks: int = Field(description="Number of face ids; a person who comes back may get a new one")


class Prediction(_Response):
    """Faces of an image, the largest first, or in the order of given boxes."""

    image: ImageSize
    faces: list[FaceEmotion]
    model: ModelName

    @computed_field  # type: ignore[prop-decorator]
    @property
    def summary(self) -> Summary:
        """Counts of the faces."""
        return summary_of(self.faces)


def summary_of(faces: Iterable[FaceEmotion]) -> Summary:
    """Return the summary of all these faces."""
    counted = list(faces)
    return summarized(Counter(face.emotion for face in counted), sum(face.uncertain for face in counted))


def summarized(emotions: Counter[str], uncertain: int) -> Summary:
    """Return a summary.

    Args:
        emotions: Faces by emotion.
        uncertain: Number of uncertain faces among them.
    """
    faces = emotions.total()
    share = round(uncertain / faces, 4) if faces else None
    return Summary(faces=faces, emotions=dict(emotions.most_common()), uncertain=share)


class Problem(_Response):
    """An error as RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: Annotated[str, Field(description="Stable error code for programs")]


class TrackedFace(FaceEmotion):
    """A face of a stream. Emotion, confidence and probabilities are smoothed over time."""

    id: int = Field(description="Track id: constant for a face, unique in a stream")
    raw_probabilities: dict[str, float] = Field(description="Probabilities of this frame alone")


class FramePrediction(_Response):
    """Prediction for a frame of a video or a stream."""

    frame: int = Field(description="Number of the frame")
    time: float = Field(description="Time of the frame in seconds")
    image: ImageSize
    faces: list[TrackedFace]
    model: ModelName


class SessionPrediction(_Response):
    """Prediction for one image of a session."""

    image: ImageSize
    faces: list[TrackedFace]
    model: ModelName
    summary: Summary
    session: str = Field(description="Token to send with the next image")


class StreamPrediction(FramePrediction):
    """Answer to a frame of a stream."""

    frame: int = Field(description="Number of the frame among those that the client sent, from 1")
    time: float = Field(description="Seconds from the start of the stream to the arrival of the frame")
    summary: TimeSummary = Field(description="Counts over all frames of the stream until now")


class FrameError(_Response):
    """Error for a frame of a stream; the stream continues."""

    frame: int
    time: float
    error: Problem


class VideoStart(_Response):
    """First line of the answer to a video."""

    type: Literal["clip"] = "clip"
    duration: float | None = Field(description="Seconds according to the file, or null")


class VideoFrame(FramePrediction):
    """Line of an analysed frame."""

    type: Literal["frame"] = "frame"
    frame: int = Field(description="Number of the frame in the video, from 0")
    time: float = Field(description="Seconds from the start of the video")
    progress: float | None = Field(description="Share of the video that is done, 0 to 1; null without a duration")


class VideoEnd(_Response):
    """Last line of a video that was read to its end."""

    type: Literal["end"] = "end"
    summary: TimeSummary
    damage: list[str] = Field(description="What could not be read, as sentences")


class VideoError(_Response):
    """Last line of a video that was cancelled."""

    type: Literal["error"] = "error"
    error: Problem


VideoLine: TypeAlias = Annotated[VideoStart | VideoFrame | VideoEnd | VideoError, Field(discriminator="type")]


class BatchPrediction(_Response):
    """Prediction for one image of a batch."""

    name: str = Field(description="File name in the request, or the number of the image")
    image: ImageSize
    faces: list[FaceEmotion]
    model: ModelName


class BatchError(_Response):
    """Error for one image of a batch."""

    name: str
    error: Problem


class BatchResult(_Response):
    """Results of a batch, in the order of its images."""

    results: list[BatchPrediction | BatchError]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def summary(self) -> Summary:
        """Counts of the faces of all images."""
        return summary_of(
            face for result in self.results if isinstance(result, BatchPrediction) for face in result.faces
        )


class ModelCard(_Response):
    """The model and the detector in use."""

    name: str
    version: str
    sha256: str
    labels: list[str]
    input_size: int
    uncertain_below: float
    provider: str = Field(description="ONNX Runtime execution provider in use")
    detector: str = Field(description="Detector in use")
    landmarks: str = Field(description="Landmark network in use")
    fallback: list[str] = Field(
        description="Parts for which `auto` uses less than the best choice: `device` (the CPU instead of a GPU), "
        "`detector` (the built-in detector instead of YuNet)"
    )
    card: dict[str, Any] = Field(description="Metadata of the model file")


class Health(_Response):
    """Liveness or readiness."""

    status: str
