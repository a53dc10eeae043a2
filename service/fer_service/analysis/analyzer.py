"""The pipeline for one image: decode → detect → crop → classify → assemble."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_service.analysis.covering import cover_faces, possible_faces
from fer_service.analysis.description import describe
from fer_service.analysis.drawing import check_drawable, draw_prediction, encode
from fer_service.analysis.given_boxes import check_boxes
from fer_service.analysis.options import Limits, Options
from fer_service.analysis.preparation import Prepared, Preparer, decode_here
from fer_service.analysis.quality import measure
from fer_service.classification.classifier import Classifier
from fer_service.contract.boxes import Box
from fer_service.contract.job import Job, Stage
from fer_service.contract.schemas import ImageSize, ModelName, Prediction
from fer_service.detection.detector import Detector, Face
from fer_service.detection.landmarks import LandmarkFinder
from fer_service.imaging.cover import Cover, cover
from fer_service.imaging.encoded import Decode, EncodedImage, open_image


@dataclass(frozen=True)
class Analysis:
    """The answer for one image.

    Attributes:
        prediction: The faces and their emotions.
        drawn: The encoded image with boxes and labels, if the request asked for it.
    """

    prediction: Prediction
    drawn: bytes | None = None


class Analyzer:
    """Turns an image into a prediction; threads may share it.

    Attributes:
        preparer: Everything before the classifier.
    """

    def __init__(
        self,
        detector: Detector,
        classifier: Classifier,
        limits: Limits | None = None,
        landmarks: LandmarkFinder | None = None,
    ) -> None:
        """Join the parts.

        Args:
            detector: Finds the faces.
            classifier: Predicts their emotions.
            limits: Limits per image.
            landmarks: Finds the landmarks of the faces. Without it, only given boxes may have some.
        """
        self.detector = detector
        self.landmarks = landmarks
        self.classifier = classifier
        self.limits = limits or Limits()
        self._metadata = classifier.bundle.metadata
        self.preparer = Preparer(detector, landmarks, self.limits, self._metadata)
        self._model = ModelName(name=self._metadata.name, version=self._metadata.version)

    def analyze(self, image: bytes | str | PathLike[str], options: Options | None = None) -> Prediction:
        """Find every face of an image and its emotion.

        Args:
            image: An encoded image, or the path of its file. For pixels there is `process_pixels`.
            options: Choices; the defaults look for all faces.

        Raises:
            RequestError: the image or an option is refused; the subclass says why.
            OSError: the file cannot be read.
            TypeError: the image is something else.
        """
        options = options or Options()
        return self.process(self.open(_content(image), options), options, Job()).prediction

    def open(self, data: bytes, options: Options, job: Job | None = None) -> EncodedImage:
        """Check an image and the choices for it. Nothing is decoded.

        Args:
            data: An encoded image.
            options: The request's choices.
            job: Takes the time, and the kind of the image.

        Raises:
            RequestError: the image or an option is refused; the subclass says why.
        """
        job = job or Job()
        self.limits.checked(options)
        with job.stage(Stage.DECODE):
            image = open_image(data, self.limits.max_pixels)
            job.kind = image.header.kind
            check_boxes(options.boxes or (), image.header.width, image.header.height)
            if options.draw:
                check_drawable(image.header, options.draw)
        return image

    def process(self, image: EncodedImage, options: Options, job: Job, decode: Decode = decode_here) -> Analysis:
        """Run the pipeline on this thread.

        Args:
            image: An image from `open`.
            options: The request's choices.
            job: Takes the time of each stage; networks that queue images obey its deadline.
            decode: Decodes the image; by default on this thread.

        Raises:
            RequestError: the image is refused; the subclass says why.
        """
        prepared = self.preparer.prepare(image, options, job, decode)
        prediction = self._classified(prepared, job)
        if options.draw is None:
            return Analysis(prediction)
        prepared = self.preparer.at_full_size(prepared, image, job, decode)
        pixels = prepared.pixels
        if options.drawing == "blur" or options.drawing == "pixelate":
            self._cover(prepared, options.drawing, options, job)
        with job.stage(Stage.DRAW):
            if options.drawing == "box":
                draw_prediction(pixels, prediction)
            return Analysis(prediction, encode(pixels, options.draw))

    def process_pixels(
        self, pixels: NDArray[np.uint8], options: Options | None = None, job: Job | None = None
    ) -> Prediction:
        """Run the pipeline for pixels, such as a frame of a video.

        Args:
            pixels: uint8 [H, W, 3], RGB, upright.
            options: Choices. Only upright faces are found, unless `turned` is set. Drawing is for encoded images.
            job: Takes the time of each stage.

        Raises:
            InvalidParameter: an option is out of range, or a box does not belong to the image.
            TypeError: the pixels have another form.
        """
        job = job or Job()
        return self._classified(self.preparer.prepare_pixels(pixels, options or Options(), job), job)

    def process_crops(self, crops: Sequence[NDArray[np.uint8]], job: Job | None = None) -> list[Prediction]:
        """Classify crops of faces that were found elsewhere.

        Args:
            crops: N ≥ 1 arrays, uint8 [S, S, 3], RGB; S is the `input_size` of the model.
            job: Takes the time of each stage.

        Returns:
            One prediction per crop: an image of S × S pixels with one face that fills it.
        """
        job, side = job or Job(), self._metadata.input_size
        with job.stage(Stage.INFER):
            rows = self.classifier.classify(crops, job)
        face, size = Face(Box(0, 0, side, side)), ImageSize(width=side, height=side)
        qualities = [measure(face, crop, side, side) for crop in crops]
        answered = zip(qualities, rows, strict=True)
        found = [describe(face, quality, _rounded(row), self._metadata, size) for quality, row in answered]
        return [Prediction(image=size, faces=[each], model=self._model) for each in found]

    def warm(self) -> None:
        """Do once, with small images, what the first request would otherwise do."""
        black = np.zeros((64, 64, 3), np.uint8)
        self.analyze(cv2.imencode(".jpg", black)[1].tobytes())
        self.process_pixels(black, Options(boxes=(Face(Box(8, 8, 48, 48)),)))

    def _cover(self, prepared: Prepared, kind: Cover, options: Options, job: Job) -> None:
        """Cover the faces, and all that may be one: also those of low scores and those beyond `max_faces`."""
        pixels, boxes = prepared.pixels, [face.box for face in prepared.faces]
        if options.boxes is not None or not options.detect:
            with job.stage(Stage.DRAW):
                for box in boxes:
                    cover(pixels, box, kind)
            return
        with job.stage(Stage.DETECT):
            cover_faces(self.detector, pixels, [*boxes, *possible_faces(self.detector, pixels, job)], kind, job)

    def _classified(self, prepared: Prepared, job: Job) -> Prediction:
        rows: NDArray[np.float32] | list[NDArray[np.float32]] = []
        if prepared.crops:
            with job.stage(Stage.INFER):
                rows = self.classifier.classify(prepared.crops, job)
        width, height = prepared.size
        to_original = width / prepared.pixels.shape[1], height / prepared.pixels.shape[0]
        faces = [face.scaled(*to_original) for face in prepared.faces]
        with job.stage(Stage.CROP):
            qualities = [measure(*seen, width, height) for seen in zip(faces, prepared.crops, strict=True)]
        answered = zip(faces, qualities, rows, strict=True)
        size = ImageSize(width=width, height=height)
        return Prediction(
            image=size,
            faces=[
                describe(face, quality, _rounded(row), self._metadata, size) for face, quality, row in answered
            ],
            model=self._model,
        )


def _content(image: bytes | str | PathLike[str]) -> bytes:
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | PathLike):
        return Path(image).read_bytes()
    raise TypeError(
        f"an image is bytes or the path of a file, not {type(image).__name__}; process_pixels takes pixels, RGB"
    )


def _rounded(row: NDArray[np.float32]) -> list[float]:
    return [round(float(value), 6) for value in row]
