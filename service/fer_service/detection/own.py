"""The project's own detector through onnxruntime; `fer-train train detector` trains it.

Input: `images` uint8 [N, H, W, 3], RGB, H and W multiples of 32. Outputs: the 1,000 best candidates per image,
best first, as `boxes` float32 [N, 1000, 4] (x, y, width, height in pixels) and `scores` float32 [N, 1000]. The
metadata property `fer-detector` is a JSON object with the origin and the measured quality of the detector.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from fer_service.contract.boxes import Box
from fer_service.contract.bundle import Name, WeightsFile, read_property
from fer_service.contract.device import Device
from fer_service.contract.errors import DetectorError
from fer_service.contract.job import Job
from fer_service.detection.detector import Face, RawDetections
from fer_service.detection.resizing import MULTIPLE, padded, shrunk, shrunk_size
from fer_service.onnx.buckets import Buckets
from fer_service.onnx.session import Gpu, Session

ANSWERS: Final = 1000  # candidates per image
METADATA_KEY: Final = "fer-detector"
INPUT_NAME: Final = "images"
OUTPUT_NAMES: Final = ("boxes", "scores")
_OVERLAP: Final = 0.4  # boxes that overlap by more (IoU) are the same face
_Share = Annotated[float, Field(ge=0, le=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Found(_Record):
    """Measured quality on one kind of faces.

    Attributes:
        count: Number of faces.
        ap50: Average precision at an IoU of 0.5.
        recall: Recall at the score with 0.5 false boxes per image.
    """

    count: int = Field(ge=0)
    ap50: _Share
    recall: _Share


class Trained(_Record):
    """Training data.

    Attributes:
        name: Name of the data.
        images: Number of photographs for training and for validation.
        faces: Number of faces that were pasted into the photographs.
        sha256: Checksums of the photographs and of the faces.
        hold_out: Share of the photographs for validation.
        seed: Random seed of the split and of the training.
    """

    name: str
    images: tuple[int, int]
    faces: int
    sha256: tuple[str, str]
    hold_out: float
    seed: int


class DetectorMetadata(_Record):
    """JSON object in the metadata property of the file.

    Attributes:
        start: File whose weights the training started from; None means random weights.
        frame_scale: Side of the square that frames a face as FER-2013 does, as a multiple of the box's height.
        found: Quality on the validation photographs per kind of faces (`all`, `bare 24–48`, …).
        false_boxes: False boxes per validation image at a score of 0.6.
        parity: Maximum difference between the scores of the graph and of the trained network.
        epochs: Number of epochs of training.
    """

    # The field is called `schema` in the file; pydantic reserves that name.
    schema_version: Literal[1] = Field(1, alias="schema")
    name: Name
    version: Name
    description: str
    frame_scale: float = Field(gt=0)
    data: Trained
    start: WeightsFile | None = None
    found: dict[str, Found]
    false_boxes: float = Field(ge=0)
    parity: float = Field(ge=0)
    epochs: int
    created: str
    commit: str
    licence: str


class OwnDetector:
    """The project's own detector behind the `BatchDetector` protocol. It gives no landmarks."""

    # Most upright portraits reach it, turned ones rarely: docs/decisions/orientations.md.
    upright_score = 0.998

    def __init__(self, session: Session, frame_scale: float, name: str, side: int) -> None:
        """Wrap an open session.

        Args:
            session: Session of the detector file.
            frame_scale: See `Detector.frame_scale`.
            name: Name of the detector.
            side: Long side in pixels to which images are shrunk.
        """
        self._session = session
        self.frame_scale = frame_scale
        self.name = name
        self.side = side
        self._square = -(-side // MULTIPLE) * MULTIPLE  # side of the input on a GPU
        output_rows = dict(zip(OUTPUT_NAMES, ((ANSWERS, 4), (ANSWERS,)), strict=True))
        self._buckets = Buckets(session, INPUT_NAME, (self._square, self._square, 3), output_rows)

    @property
    def on_gpu(self) -> bool:
        """True if it runs on a GPU."""
        return self._session.on_gpu

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        """Find the faces of an image (see `Detector.detect`)."""
        (output,) = self.run([self.preprocess(pixels)])
        return self.postprocess(output, pixels.shape[:2], min_score)

    def preprocess(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize and pad an image: to the smallest valid size on a CPU, to one square size on a GPU."""
        return padded(shrunk(pixels, self.side), self._square if self.on_gpu else 0)

    def run(self, images: Sequence[NDArray[np.uint8]]) -> list[RawDetections]:
        """Run the network (see `BatchDetector.run`)."""
        if self.on_gpu:
            outputs = self._buckets(images)
            boxes, scores = (outputs[name] for name in OUTPUT_NAMES)
        else:
            boxes, scores = self._session.run(OUTPUT_NAMES, {INPUT_NAME: np.stack(images)})
        return list(zip(boxes, scores, strict=True))

    def postprocess(self, output: RawDetections, size: tuple[int, ...], min_score: float) -> list[Face]:
        """Return the faces of an output (see `BatchDetector.postprocess`)."""
        height, width = size
        rows, columns = shrunk_size(height, width, self.side)
        return [face.scaled(width / columns, height / rows) for face in faces_of(*output, min_score)]

    def warm(self, max_batch: int) -> None:
        """Run every bucket that batches of up to `max_batch` images need.

        Raises:
            ProviderError: the device cannot run a bucket.
        """
        self._buckets.warm(max_batch)


def faces_of(boxes: NDArray[np.float32], scores: NDArray[np.float32], min_score: float) -> list[Face]:
    """Return the candidates with the score, without duplicates (non-maximum suppression).

    Args:
        boxes: float32 [n, 4]: x, y, width, height.
        scores: float32 [n], best first.
        min_score: Minimum score.
    """
    count = int((scores >= max(min_score, 1e-3)).sum())
    if not count:
        return []
    kept = cv2.dnn.NMSBoxes(boxes[:count].tolist(), scores[:count].tolist(), 0.0, _OVERLAP)
    return [Face(Box(*boxes[index].tolist()), float(scores[index])) for index in kept]


def open_own(path: Path, side: int, device: Device = "cpu", gpu: Gpu | None = None) -> OwnDetector:
    """Open a file of the built-in detector; on a CPU with one thread per image.

    Args:
        path: Detector file.
        side: Long side in pixels to which images are shrunk.
        device: See `Session.open`.
        gpu: GPU options.

    Raises:
        DetectorError: the file is missing or is not such a detector.
        ProviderError: the requested device is not available.
    """
    missing = "no such detector file; to make one from a training run, run: fer-train export"
    session = Session.open(path, device=device, threads=1, failure=DetectorError, missing=missing, gpu=gpu)
    metadata = read_detector_metadata(session, str(path))
    return OwnDetector(session, metadata.frame_scale, f"own:{metadata.name}:{metadata.version}", side)


def read_detector_metadata(session: Session, where: str) -> DetectorMetadata:
    """Check the inputs, outputs and metadata of a detector file.

    Args:
        session: Session of the file.
        where: Name of the file, for messages.

    Raises:
        DetectorError: something is missing or invalid; the message says what.
    """
    text = session.properties.get(METADATA_KEY)
    names = [entry.name for entry in session.inputs], tuple(entry.name for entry in session.outputs)
    if text is None or names != ([INPUT_NAME], OUTPUT_NAMES):
        raise DetectorError(
            f"{where}: not a detector made by `fer-train export`, which has the metadata property "
            f"{METADATA_KEY!r}, the input {INPUT_NAME} and the outputs {', '.join(OUTPUT_NAMES)}"
        )
    return read_property(text, METADATA_KEY, DetectorMetadata, where, DetectorError)
