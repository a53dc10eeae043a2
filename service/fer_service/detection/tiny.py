"""Our own detector through onnxruntime; `training/fer_training/detector` makes its file.

The file takes `images` uint8 [N, H, W, 3], RGB, H and W multiples of 32, and answers with the 1,000 best places
of each: `boxes` float32 [N, 1000, 4] (left, top, width, height in pixels) and `scores` float32 [N, 1000], best
first. Its metadata property `fer-detector` is a JSON object that says where it comes from and what it does.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_service.contract.boxes import Box
from fer_service.contract.device import Device
from fer_service.contract.errors import DetectorError
from fer_service.contract.job import Job
from fer_service.contract.validation import first_error
from fer_service.detection.detector import Answer, Face
from fer_service.detection.resizing import MULTIPLE, padded, shrunk, shrunk_size
from fer_service.onnx.buckets import Buckets
from fer_service.onnx.session import Gpu, Session

ANSWERS: Final = 1000
METADATA_KEY: Final = "fer-detector"
INPUT_NAME: Final = "images"
OUTPUT_NAMES: Final = ("boxes", "scores")
_OVERLAP: Final = 0.4  # boxes that overlap by more (IoU) are the same face
_Share = Annotated[float, Field(ge=0, le=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Found(_Record):
    """What the detector found of one kind of faces.

    Attributes:
        count: Faces of the kind.
        ap50: Average precision at an overlap of 0.5.
        recall: Share found at the score that leaves half a false box an image.
    """

    count: int = Field(ge=0)
    ap50: _Share
    recall: _Share


class Trained(_Record):
    """What the detector was fitted to.

    Attributes:
        name: What people call the data.
        images: Photographs fitted to, and photographs held out.
        faces: Faces that were pasted into them.
        sha256: Of the photographs, then of the faces.
        hold_out: Share of the photographs that was held out.
        seed: Of the draw, and of the training.
    """

    name: str
    images: tuple[int, int]
    faces: int
    sha256: tuple[str, str]
    hold_out: float
    seed: int


class DetectorMetadata(_Record):
    """The JSON object in the file's metadata property.

    Attributes:
        frame_scale: Side of the square that frames a face as FER-2013 does, as a multiple of the box's height.
        found: By kind of faces (`all`, `bare 24–48`, …), on the held-out photographs.
        false_boxes: Boxes on no face a held-out image, at a score of 0.6.
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


class TinyDetector:
    """Our detector behind the `BatchDetector` protocol; without landmarks."""

    def __init__(self, session: Session, frame_scale: float, name: str, side: int) -> None:
        """Wrap an opened file.

        Args:
            session: Of the file.
            frame_scale: Of the crops about its boxes.
            name: For people.
            side: Long side in pixels that images are shrunk to.
        """
        self._session = session
        self.frame_scale = frame_scale
        self.name = name
        self.side = side
        self._square = -(-side // MULTIPLE) * MULTIPLE
        rows = dict(zip(OUTPUT_NAMES, ((ANSWERS, 4), (ANSWERS,)), strict=True))
        self._buckets = Buckets(session, INPUT_NAME, (self._square, self._square, 3), rows)

    def at(self, side: int) -> "TinyDetector":
        """The same network for images shrunk to another long side, in pixels."""
        return TinyDetector(self._session, self.frame_scale, self.name, side)

    @property
    def on_gpu(self) -> bool:
        """Whether it runs on a GPU."""
        return self._session.on_gpu

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        """Find the faces of an image (see `Detector.detect`)."""
        (answer,) = self.run([self.fitted(pixels)])
        return self.faces(answer, pixels.shape[:2], min_score)

    def fitted(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """An image as the network takes it: no larger than it has to be, on a GPU in a square of one size."""
        return padded(shrunk(pixels, self.side), self._square if self.on_gpu else 0)

    def run(self, images: Sequence[NDArray[np.uint8]]) -> list[Answer]:
        """The network's answers to fitted images of one shape (see `BatchDetector.run`)."""
        if self.on_gpu:
            found = self._buckets(images)
            boxes, scores = (found[name] for name in OUTPUT_NAMES)
        else:
            boxes, scores = self._session.run(OUTPUT_NAMES, {INPUT_NAME: np.stack(images)})
        return list(zip(boxes, scores, strict=True))

    def faces(self, answer: Answer, size: tuple[int, ...], min_score: float) -> list[Face]:
        """The faces of an answer in the pixels of the image itself (see `BatchDetector.faces`)."""
        height, width = size
        rows, columns = shrunk_size(height, width, self.side)
        return [face.scaled(width / columns, height / rows) for face in faces_of(*answer, min_score)]

    def warm(self, most: int) -> None:
        """Run every bucket that batches of up to `most` images need.

        Raises:
            ProviderError: the device cannot.
        """
        self._buckets.warm(most)


def faces_of(boxes: NDArray[np.float32], scores: NDArray[np.float32], min_score: float) -> list[Face]:
    """The faces in an image's answers: those with the score, once each.

    Args:
        boxes: float32 [n, 4]: left, top, width, height.
        scores: float32 [n], best first.
        min_score: Lower ones are left out.
    """
    count = int((scores >= max(min_score, 1e-3)).sum())
    if not count:
        return []
    kept = cv2.dnn.NMSBoxes(boxes[:count].tolist(), scores[:count].tolist(), 0.0, _OVERLAP)
    return [Face(Box(*boxes[index].tolist()), float(scores[index])) for index in kept]


def open_tiny(path: Path, side: int, device: Device = "cpu", gpu: Gpu | None = None) -> TinyDetector:
    """Open a file of ours; on the CPU with one thread an image.

    Args:
        path: The file.
        side: Long side in pixels that images are shrunk to.
        device: See `Session.open`.
        gpu: How a GPU is used, where it is one.

    Raises:
        DetectorError: the file is missing or is none.
        ProviderError: the device that was asked for cannot be had.
    """
    if not path.is_file():
        raise DetectorError(
            f"{path}: there is no such detector file; `fer-train export` makes one of a detector's run"
        )
    session = Session.open(path, device=device, threads=1, failure=DetectorError, gpu=gpu)
    metadata = read_detector_metadata(session, str(path))
    return TinyDetector(session, metadata.frame_scale, f"{metadata.name}:{metadata.version}", side)


def is_tiny_detector(path: Path) -> bool:
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
        mistake = first_error(error.errors()).sentence("the whole property")
        raise DetectorError(f"{where}: metadata property {METADATA_KEY!r}: {mistake}") from error
