"""The line for one image: prepare (decode → detect → crop) → the crops' probabilities → assemble."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_service.classification.classifier import Classifier
from fer_service.contract.errors import InvalidParameter, RequestError
from fer_service.contract.schemas import Box, FaceEmotion, ImageSize, Landmarks, ModelName, Prediction
from fer_service.detection.choice import Detector, Face
from fer_service.imaging.crop import crop, square_around, square_over
from fer_service.imaging.decode import Header, decode, read_header

_LANDMARKS = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")


@dataclass(frozen=True)
class Limits:
    """How much an image may ask for.

    Attributes:
        max_pixels: Width × height of an image.
        max_faces: Most faces reported an image.
        min_score: Faces below this score are left out, unless the request says otherwise.
    """

    max_pixels: int = 50_000_000
    max_faces: int = 100
    min_score: float = 0.6


@dataclass(frozen=True)
class Options:
    """What one request may choose.

    Attributes:
        detect: False takes the whole image as one face.
        max_faces: At most so many, the largest; None is the limit.
        min_score: 0 to 1; None is the limit's.
    """

    detect: bool = True
    max_faces: int | None = None
    min_score: float | None = None


@dataclass(frozen=True)
class Prepared:
    """An image after everything that needs its pixels.

    Attributes:
        width: Of the upright image, pixels.
        height: Of the upright image, pixels.
        faces: The largest first, in pixels of the upright image.
        crops: One a face, uint8 [S, S, 3], RGB.
        seconds: By stage: decode, detect, crop.
    """

    width: int
    height: int
    faces: list[Face]
    crops: list[NDArray[np.uint8]]
    seconds: dict[str, float] = field(default_factory=dict)


class Analyzer:
    """Everything between an image's bytes and its prediction; safe to use from several threads at once."""

    def __init__(self, detector: Detector, classifier: Classifier, limits: Limits | None = None) -> None:
        """Take the parts.

        Args:
            detector: Finds the faces.
            classifier: Names their emotions.
            limits: How much an image may ask for.
        """
        self.detector = detector
        self.classifier = classifier
        self.limits = limits or Limits()
        self._metadata = classifier.bundle.metadata
        self._model = ModelName(name=self._metadata.name, version=self._metadata.version)

    def warm(self) -> None:
        """Do once, with small images, what the first requests would do first; the network warms itself."""
        image = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
        self.analyze(image)
        # Pillow loads its rarer formats when it meets bytes that none of the common ones knows.
        with contextlib.suppress(RequestError):
            self.analyze(b"no image")

    def analyze(self, data: bytes, options: Options | None = None) -> Prediction:
        """All three steps, on this thread.

        Args:
            data: An encoded image.
            options: What to look for.

        Raises:
            RequestError: the image or an option cannot be accepted; the subclass says why.
        """
        prepared = self.prepare(data, options or Options())
        if not prepared.crops:
            return self.assemble(prepared, [])
        return self.assemble(prepared, list(self.classifier.classify(prepared.crops)))

    def analyze_pixels(self, pixels: NDArray[np.uint8]) -> Prediction:
        """All steps for an image that is decoded already, such as a video's frame, on this thread.

        Args:
            pixels: Upright uint8 [H, W, 3], RGB.
        """
        height, width = pixels.shape[:2]
        found = self.detector.detect(pixels, self.limits.min_score)
        faces = sorted(found, key=lambda face: face.area, reverse=True)[: self.limits.max_faces]
        crops = self._crops(pixels, Header("pixels", width, height, 1), faces)
        prepared = Prepared(width, height, faces, crops)
        return self.assemble(prepared, list(self.classifier.classify(crops)) if crops else [])

    def prepare(self, data: bytes, options: Options) -> Prepared:
        """Decode, detect and crop: everything before the network, for a pool of threads.

        Raises:
            RequestError: the image or an option cannot be accepted; the subclass says why.
        """
        max_faces, min_score = self._checked(options)
        clock = _Stages()
        header = read_header(data, self.limits.max_pixels)
        if options.detect:
            pixels = decode(data, header, header.reduction(self.detector.side))
            clock.end("decode")
            found = self.detector.detect(pixels, min_score)
            clock.end("detect")
            to_full = header.width / pixels.shape[1], header.height / pixels.shape[0]
            faces = sorted((face.scaled(*to_full) for face in found), key=lambda face: face.area, reverse=True)[
                :max_faces
            ]
            pixels = self._fine_enough(data, header, pixels, faces)
            clock.end("decode")
            crops = self._crops(pixels, header, faces)
        else:
            pixels = decode(data, header, self.whole_reduction(header))
            clock.end("decode")
            faces = [Face(0, 0, header.width, header.height)]
            square = square_over(pixels.shape[1], pixels.shape[0])
            crops = [crop(pixels, square, self._metadata.input_size, self._metadata.crop)]
        clock.end("crop")
        return Prepared(header.width, header.height, faces, crops, clock.seconds)

    def assemble(self, prepared: Prepared, probabilities: Sequence[NDArray[np.float32]]) -> Prediction:
        """Put the answer together.

        Args:
            prepared: The image.
            probabilities: One row float32 [C] a face of it.
        """
        return Prediction(
            image=ImageSize(width=prepared.width, height=prepared.height),
            faces=[
                self._face(face, [round(float(value), 6) for value in row], prepared)
                for face, row in zip(prepared.faces, probabilities, strict=True)
            ],
            model=self._model,
        )

    def whole_reduction(self, header: Header) -> int:
        """How far an image that is taken whole may be reduced while it is decoded."""
        longest, shortest = max(header.width, header.height), min(header.width, header.height)
        return header.reduction(self._metadata.input_size * longest / shortest)

    def _checked(self, options: Options) -> tuple[int, float]:
        max_faces = self.limits.max_faces if options.max_faces is None else options.max_faces
        min_score = self.limits.min_score if options.min_score is None else options.min_score
        if not 1 <= max_faces <= self.limits.max_faces:
            raise InvalidParameter(f"max_faces must be 1 to {self.limits.max_faces}, not {max_faces}")
        if not 0 <= min_score <= 1:
            raise InvalidParameter(f"min_score must be 0 to 1, not {min_score}")
        return max_faces, min_score

    def _fine_enough(
        self, data: bytes, header: Header, pixels: NDArray[np.uint8], faces: list[Face]
    ) -> NDArray[np.uint8]:
        """The image at a size at which the smallest face fills the network's input, if it ever does."""
        if not faces or pixels.shape[1] == header.width:
            return pixels
        smallest = min(face.height for face in faces)
        wanted = max(header.width, header.height) * self._metadata.input_size / smallest
        reduction = header.reduction(wanted)
        if max(header.width, header.height) / reduction <= max(pixels.shape[:2]):
            return pixels
        return decode(data, header, reduction)

    def _crops(self, pixels: NDArray[np.uint8], header: Header, faces: list[Face]) -> list[NDArray[np.uint8]]:
        scale = pixels.shape[1] / header.width, pixels.shape[0] / header.height
        geometry, size = self._metadata.crop, self._metadata.input_size
        return [
            crop(pixels, square_around(face.scaled(*scale), geometry, self.detector.frame_scale), size, geometry)
            for face in faces
        ]

    def _face(self, face: Face, probabilities: list[float], prepared: Prepared) -> FaceEmotion:
        labels = self._metadata.labels
        best = max(range(len(labels)), key=probabilities.__getitem__)
        return FaceEmotion(
            box=_clipped(face, prepared.width, prepared.height),
            score=None if face.score is None else round(face.score, 4),
            landmarks=_landmarks(face, prepared.width, prepared.height),
            emotion=labels[best],
            confidence=probabilities[best],
            uncertain=probabilities[best] < self._metadata.uncertain_below,
            probabilities=dict(zip(labels, probabilities, strict=True)),
        )


class _Stages:
    """Seconds a stage; a stage that comes twice adds up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def end(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


def _clipped(face: Face, width: int, height: int) -> Box:
    left, top = min(max(round(face.x), 0), width - 1), min(max(round(face.y), 0), height - 1)
    right = min(max(round(face.x + face.width), left + 1), width)
    bottom = min(max(round(face.y + face.height), top + 1), height)
    return Box(x=left, y=top, width=right - left, height=bottom - top)


def _landmarks(face: Face, width: int, height: int) -> Landmarks | None:
    if face.landmarks is None:
        return None
    points = [(min(max(round(x), 0), width - 1), min(max(round(y), 0), height - 1)) for x, y in face.landmarks]
    return Landmarks(**dict(zip(_LANDMARKS, points, strict=True)))
