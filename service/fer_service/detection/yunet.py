"""YuNet through onnxruntime (Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector", MIR 20).

The file has one output per stride s (8, 16, 32) and kind: `cls` and `obj` [1, n, 1], `bbox` [1, n, 4] and `kps`
[1, n, 10], with one row per cell of a grid of H/s rows and W/s columns. `kps`, five landmarks, is not used:
`detection/landmarks.py` finds better ones (docs/decisions/landmarks.md).
"""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_service.contract.boxes import Box
from fer_service.contract.errors import DetectorError
from fer_service.contract.job import Job
from fer_service.detection.detector import Face
from fer_service.detection.resizing import padded_size, shrunk
from fer_service.detection.weights import pull_command
from fer_service.onnx.session import Session

_STRIDES: Final = (8, 16, 32)
_KINDS: Final = ("cls", "obj", "bbox")
_OUTPUTS: Final = tuple(f"{kind}_{stride}" for kind in _KINDS for stride in _STRIDES)
_UNUSED_OUTPUTS: Final = tuple(f"kps_{stride}" for stride in _STRIDES)
_OVERLAP: Final = 0.3  # boxes that overlap by more (IoU) are the same face
_CANDIDATES: Final = 2000  # maximum number of cells, the best first, that non-maximum suppression sees


class YuNet:
    """YuNet behind the `Detector` protocol."""

    # Median over the faces of FER-2013's PublicTest that it finds: docs/decisions/crop-frame.md.
    frame_scale = 1.0
    # Most upright portraits reach it, turned ones rarely: docs/decisions/orientations.md.
    upright_score = 0.91

    def __init__(self, session: Session, name: str, side: int) -> None:
        """Wrap an open session.

        Args:
            session: Session of a YuNet file with symbolic height and width.
            name: Name of the detector.
            side: Long side in pixels to which images are shrunk.

        Raises:
            DetectorError: the file's inputs or outputs are not YuNet's.
        """
        names = {output.name for output in session.outputs}
        shapes = [entry.shape for entry in session.inputs]
        if names != {*_OUTPUTS, *_UNUSED_OUTPUTS} or len(shapes) != 1 or len(shapes[0]) != 4:
            raise DetectorError(f"{name}: not a YuNet file (outputs: {', '.join(sorted(names))})")
        if any(isinstance(length, int) for length in shapes[0][2:]):
            raise DetectorError(
                f"{name}: fixed input size {shapes[0][2:]}; use a YuNet file with symbolic height and width"
            )
        self._session = session
        self._input = session.inputs[0].name
        self.name = name
        self.side = side

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        """Find the faces of an image (see `Detector.detect`)."""
        small = self.shrunk(pixels)
        blob = self.blob(small)
        boxes, scores = _decode(self.run(blob), blob.shape[3], max(min_score, 1e-3))
        if not len(boxes):
            return []
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.0, _OVERLAP)
        scale = np.array([pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0]] * 2)
        found = zip((boxes[kept] * scale).tolist(), scores[kept].tolist(), strict=True)
        return [Face(Box(*box), score) for box, score in found]

    def blob(self, small: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the network's input for an image uint8 [H, W, 3], RGB, at most as large as `side`.

        Returns:
            float32 [1, 3, H', W'], BGR, 0 to 255. H' and W' are the next multiples of 32; the padding, below and
            on the right, is black.
        """
        height, width = small.shape[:2]
        blob = np.empty((1, 3, *padded_size(small)), np.float32)
        # Takes a third of the time of cv2.dnn.blobFromImage, which converts all channels before it splits them.
        for channel, plane in zip(reversed(blob[0]), cv2.split(small), strict=True):
            channel[:height, :width] = plane
        blob[0, :, height:] = 0
        blob[0, :, :height, width:] = 0
        return blob

    def run(self, blob: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run the network alone; return the outputs that are used, by name."""
        return dict(zip(_OUTPUTS, self._session.run(_OUTPUTS, {self._input: blob}), strict=True))

    def shrunk(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image uint8 [H, W, 3], shrunk to a long side of at most `side` pixels."""
        return shrunk(pixels, self.side)


def open_yunet(path: Path, side: int) -> YuNet:
    """Open a YuNet file on the CPU, with one thread per image.

    Raises:
        DetectorError: the file is missing or is not a YuNet file.
    """
    names = "auto, own, yunet, haar and paths of files"
    missing = f"no such detector file; detectors are {names}. To download YuNet, run: {pull_command()}"
    session = Session.open(path, device="cpu", threads=1, failure=DetectorError, missing=missing)
    return YuNet(session, f"yunet:{path.stem}", side)


def _decode(
    outputs: dict[str, NDArray[np.float32]], width: int, min_score: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return boxes [k, 4] (x, y, w, h) and scores [k] of the cells with the score."""
    found = []
    for stride in _STRIDES:
        classes, objects, offsets = (outputs[f"{kind}_{stride}"][0] for kind in _KINDS)
        # The score is the root of two factors of at most 1, so each factor is at least its square. This test skips
        # nearly every cell, so that most of the outputs, hundreds of kilobytes outside the caches, are not read.
        cells = np.flatnonzero(objects >= min_score**2)
        if len(cells):
            scores = np.sqrt(classes[cells, 0].clip(0, 1) * objects[cells, 0].clip(0, 1))
            cells, scores = cells[scores >= min_score], scores[scores >= min_score]
            rows, columns = np.divmod(cells, width // stride)
            grid = np.stack([columns, rows], axis=1).astype(np.float32)
            size = np.exp(offsets[cells, 2:]) * stride
            boxes = np.concatenate([(grid + offsets[cells, :2]) * stride - size / 2, size], axis=1)
            found.append((boxes, scores))
    if not found:
        return np.empty((0, 4), np.float32), np.empty(0, np.float32)
    boxes, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    best = np.argsort(-scores, kind="stable")[:_CANDIDATES] if len(scores) > _CANDIDATES else slice(None)
    return boxes[best], scores[best]
