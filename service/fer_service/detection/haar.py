"""OpenCV's Haar cascade (Viola & Jones 2001): needs no download; misses more faces than a network."""

import threading
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_service.contract.boxes import Box
from fer_service.contract.errors import DetectorError
from fer_service.contract.job import Job
from fer_service.detection.detector import Face

_CASCADE = "haarcascade_frontalface_default.xml"


class Haar:
    """The frontal-face cascade behind the `Detector` protocol. It gives no scores and no landmarks."""

    name = "haar"
    # Median over the faces of FER-2013's PublicTest that it finds: docs/decisions/crop-frame.md.
    frame_scale = 1.02

    def __init__(self, side: int = 320) -> None:
        """Load the cascade from OpenCV's own data.

        Args:
            side: Long side in pixels to which images are shrunk; time grows with its square.

        Raises:
            DetectorError: this OpenCV ships no cascades.
        """
        self.side = side
        self._path = Path(cv2.__file__).parent / "data" / _CASCADE
        # A cascade is not thread-safe: each thread has its own.
        self._local = threading.local()
        self._cascade()

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        """Find the faces of an image (see `Detector.detect`)."""
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        height, width = grey.shape
        scale = min(1.0, self.side / max(height, width))
        if scale < 1:
            size = (max(round(width * scale), 1), max(round(height * scale), 1))
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        boxes = self._cascade().detectMultiScale(grey, scaleFactor=1.1, minNeighbors=5, minSize=(20, 20))
        back_x, back_y = width / grey.shape[1], height / grey.shape[0]
        return [Face(Box(*map(float, box))).scaled(back_x, back_y) for box in boxes]

    def _cascade(self) -> cv2.CascadeClassifier:
        cascade: cv2.CascadeClassifier | None = getattr(self._local, "cascade", None)
        if cascade is None:
            cascade = cv2.CascadeClassifier(str(self._path))
            if cascade.empty():
                raise DetectorError(f"this OpenCV ({cv2.__version__}) has no {_CASCADE}; install opencv below 5.0")
            self._local.cascade = cascade
        return cascade
