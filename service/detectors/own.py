"""Our own detector through onnxruntime; `training/detector` makes its file.

The file takes `pictures` uint8 [N, H, W, 3], RGB, H and W multiples of 32, and answers with the 1,000 best places
of each: `boxes` float32 [N, 1000, 4] (left, top, width, height in pixels) and `scores` float32 [N, 1000], best
first. Its metadata property `fer-detector` is a JSON object that says where it comes from and what it does.
"""

from pathlib import Path
from typing import Annotated, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.detectors.base import Face, face_of
from service.detectors.scaling import padded, shrunk
from service.errors import DetectorError
from service.inference.session import Session
from service.validation import first_mistake

ANSWERS: Final = 1000
METADATA_KEY: Final = "fer-detector"
INPUT_NAME: Final = "pictures"
OUTPUT_NAMES: Final = ("boxes", "scores")
OWN: Final = Path(__file__).parent.parent / "assets" / "detector.onnx"
_OVERLAP: Final = 0.4  # boxes that overlap by more (IoU) are the same face
_Share = Annotated[float, Field(ge=0, le=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Found(_Record):
    """What the detector found of one kind of faces.

    Attributes:
        count: Faces of the kind.
        ap50: Average precision at an overlap of 0.5.
        recall: Share found at the score that leaves half a false box a picture.
    """

    count: int = Field(ge=0)
    ap50: _Share
    recall: _Share


class Trained(_Record):
    """What the detector was fitted to.

    Attributes:
        name: What people call the data.
        pictures: Photographs fitted to, and photographs held out.
        faces: Faces that were pasted into them.
        sha256: Of the photographs, then of the faces.
        hold_out: Share of the photographs that was held out.
        seed: Of the draw, and of the training.
    """

    name: str
    pictures: tuple[int, int]
    faces: int
    sha256: tuple[str, str]
    hold_out: float
    seed: int


class DetectorMetadata(_Record):
    """The JSON object in the file's metadata property.

    Attributes:
        frame_scale: Side of the square that frames a face as FER-2013 does, as a multiple of the box's height.
        found: By kind of faces (`all`, `bare 24–48`, …), on the held-out photographs.
        false_boxes: Boxes on no face a held-out picture, at a score of 0.6.
        parity: How far the graph's scores are from the trained network's, at most.
        epochs: Until these weights.
    """

    # Pydantic reserves names that begin with "schema"; the file's field is called so all the same.
    schema_version: Literal[1] = Field(1, alias="schema")
    name: str
    version: str
    description: str
    frame_scale: float = Field(gt=0)
    data: Trained
    found: dict[str, Found]
    false_boxes: float = Field(ge=0)
    parity: float = Field(ge=0)
    epochs: int
    created: str
    commit: str
    licence: str


class Own:
    """Our detector behind the `Detector` protocol; without landmarks."""

    def __init__(self, session: Session, frame_scale: float, name: str, side: int) -> None:
        """Wrap an opened file.

        Args:
            session: Of the file.
            frame_scale: Of the crops about its boxes.
            name: For people.
            side: Long side in pixels that pictures are shrunk to.
        """
        self._session = session
        self.frame_scale = frame_scale
        self.name = name
        self.side = side

    def detect(self, pixels: NDArray[np.uint8], min_score: float) -> list[Face]:
        """Find the faces of a picture (see `Detector.detect`)."""
        small = self.shrunk(pixels)
        boxes, scores = self.run(self.blob(small))
        back_x, back_y = pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0]
        return [face.scaled(back_x, back_y) for face in faces_of(boxes[0], scores[0], min_score)]

    def shrunk(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture uint8 [H, W, 3], its long side at most `side`."""
        return shrunk(pixels, self.side)

    def blob(self, small: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The network's input uint8 [1, H', W', 3] for a picture that is no larger than `side`."""
        return padded(small)[None]

    def run(self, blob: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """The network alone: a blob's boxes and scores."""
        return self._session.run(OUTPUT_NAMES, {INPUT_NAME: blob})


def faces_of(boxes: NDArray[np.float32], scores: NDArray[np.float32], min_score: float) -> list[Face]:
    """The faces in a picture's answers: those with the score, once each.

    Args:
        boxes: float32 [n, 4]: left, top, width, height.
        scores: float32 [n], best first.
        min_score: Lower ones are left out.
    """
    count = int((scores >= max(min_score, 1e-3)).sum())
    if not count:
        return []
    kept = cv2.dnn.NMSBoxes(boxes[:count].tolist(), scores[:count].tolist(), 0.0, _OVERLAP)
    return [face_of(boxes[index], score=float(scores[index])) for index in kept]


def open_own(path: Path, side: int) -> Own:
    """Open a file of ours on the CPU, one thread a picture.

    Raises:
        DetectorError: the file is missing or is none.
    """
    if not path.is_file():
        raise DetectorError(
            f"{path}: there is no such detector file; `fer-train export` makes one of a detector's run"
        )
    session = Session.open(path, device="cpu", threads=1, failure=DetectorError)
    metadata = read_detector_metadata(session, str(path))
    return Own(session, metadata.frame_scale, f"{metadata.name}:{metadata.version}", side)


def is_own(path: Path) -> bool:
    """Whether a file says that it is a detector of ours, as far as its bytes tell without opening it."""
    return path.is_file() and METADATA_KEY.encode() in path.read_bytes()


def read_detector_metadata(session: Session, where: str) -> DetectorMetadata:
    """Check an opened file and return what it says of itself.

    Raises:
        DetectorError: with a sentence that says what is missing or wrong.
    """
    text = session.properties.get(METADATA_KEY)
    names = [entry.name for entry in session.inputs], tuple(entry.name for entry in session.outputs)
    if text is None or names != ([INPUT_NAME], OUTPUT_NAMES):
        raise DetectorError(
            f"{where} is no detector made by `fer-train export`: it needs the metadata property {METADATA_KEY!r}, "
            f"the input {INPUT_NAME} and the outputs {', '.join(OUTPUT_NAMES)}"
        )
    try:
        return DetectorMetadata.model_validate_json(text)
    except ValidationError as error:
        mistake = first_mistake(error.errors()).sentence("the whole property")
        raise DetectorError(f"{where}: metadata property {METADATA_KEY!r}: {mistake}") from error
