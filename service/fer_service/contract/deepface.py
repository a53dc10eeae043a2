"""Requests and answers of DeepFace's HTTP API, as far as they are about emotions.

https://github.com/serengil/deepface (deepface/api, 0.0.9x): `POST /analyze`.
"""

from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fer_service.contract.schemas import FaceEmotion, Point, Prediction

EMOTION: Final = "emotion"
_QUOTES: Final = str.maketrans("", "", "[]()\"' ")


def _listed(value: object) -> object:
    """Return a list for the text of one, which forms send."""
    return value.translate(_QUOTES).split(",") if isinstance(value, str) else value


class DeepFaceRequest(BaseModel):
    """Options of a request besides its image; others are ignored, as new versions add some."""

    model_config = ConfigDict(frozen=True)

    # DeepFace's own default: what is not supported must be seen.
    actions: Annotated[list[str], BeforeValidator(_listed)] = Field(
        ["emotion", "age", "gender", "race"], description="Must be `emotion` alone"
    )
    enforce_detection: bool = Field(True, description="False takes an image without a face as one face")
    anti_spoofing: bool = Field(False, description="Must be false")
    detector_backend: str = Field("opencv", description="`skip` takes the image as one face; others are ignored")
    max_faces: int | None = Field(None, ge=1, description="Maximum faces, the largest first")


class Region(BaseModel):
    """Box of a face in pixels, and its eyes; right and left are the person's own."""

    x: int
    y: int
    w: int
    h: int
    left_eye: Point | None
    right_eye: Point | None


class DeepFaceFace(BaseModel):
    """A face in DeepFace's form."""

    emotion: dict[str, float] = Field(description="Probability of every label in per cent")
    dominant_emotion: str
    region: Region
    face_confidence: float = Field(description="Score of the detector, 0 to 1; 0 if the whole image is the face")


class DeepFaceResult(BaseModel):
    """The faces of an image."""

    results: list[DeepFaceFace]


def deepface_result(prediction: Prediction) -> DeepFaceResult:
    """Return a prediction in DeepFace's form."""
    return DeepFaceResult(results=[_face(face) for face in prediction.faces])


def _face(face: FaceEmotion) -> DeepFaceFace:
    box, eyes = face.box, face.landmarks
    return DeepFaceFace(
        emotion={label: round(100 * value, 4) for label, value in face.probabilities.items()},
        dominant_emotion=face.emotion,
        region=Region(
            x=box.x,
            y=box.y,
            w=box.width,
            h=box.height,
            left_eye=eyes and eyes.left_eye,
            right_eye=eyes and eyes.right_eye,
        ),
        face_confidence=face.score or 0.0,
    )
