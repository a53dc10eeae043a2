"""The part of the pipeline before the classifier: decode → detect → crop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_service.analysis.given_boxes import check_boxes
from fer_service.analysis.options import Limits, Options
from fer_service.contract.boxes import Box, degrees_between, roll_of
from fer_service.contract.bundle import Metadata
from fer_service.contract.job import Job, Stage
from fer_service.detection.close_look import is_upright_at
from fer_service.detection.detector import Detector, Face
from fer_service.detection.landmarks import LandmarkFinder
from fer_service.detection.orientations import upright
from fer_service.imaging.crop import crop, square_around, square_over
from fer_service.imaging.decode import decode as decode_pixels
from fer_service.imaging.encoded import Decode, EncodedImage
from fer_service.imaging.header import Header

_FAR: Final = 60.0  # degrees


@dataclass(frozen=True)
class Prepared:
    """An image after everything that needs its pixels, before the classifier.

    Attributes:
        size: Width and height of the upright original in pixels.
        pixels: The decoded image uint8 [H, W, 3], RGB, upright; smaller than the original if it was reduced.
        faces: Faces in pixels of `pixels`: the largest first, or in the order in which they were given.
        crops: One per face, uint8 [S, S, 3], RGB.
    """

    size: tuple[int, int]
    pixels: NDArray[np.uint8]
    faces: list[Face]
    crops: list[NDArray[np.uint8]]


def decode_here(image: EncodedImage, reduction: int) -> NDArray[np.uint8]:
    """Decode an image on this thread."""
    return decode_pixels(image.data, image.header, reduction)


class Preparer:
    """Turns an image into crops of its faces; threads may share it."""

    def __init__(
        self, detector: Detector, landmarks: LandmarkFinder | None, limits: Limits, metadata: Metadata
    ) -> None:
        """Join the parts.

        Args:
            detector: Finds the faces.
            landmarks: Finds their landmarks, if any.
            limits: Limits per image.
            metadata: Metadata of the emotion model, which say how it wants its crops.
        """
        self._detector, self._landmarks, self._limits, self._metadata = detector, landmarks, limits, metadata

    def prepare(
        self, image: EncodedImage, options: Options, job: Job | None = None, decode: Decode = decode_here
    ) -> Prepared:
        """Decode, detect and crop.

        Raises:
            RequestError: the image is refused; the subclass says why.
        """
        job, header = job or Job(), image.header
        if options.turned is None:
            options = replace(options, turned=True)

        def finer(faces: Sequence[Face]) -> NDArray[np.uint8]:
            with job.stage(Stage.DECODE):
                reduction = self._finer_reduction(header, pixels, faces)
                return pixels if reduction is None else decode(image, reduction)

        with job.stage(Stage.DECODE):
            pixels = decode(image, self._reduction(header, options))
        return self._prepared((header.width, header.height), pixels, options, job, finer)

    def prepare_pixels(self, pixels: NDArray[np.uint8], options: Options, job: Job | None = None) -> Prepared:
        """Detect and crop.

        Args:
            pixels: uint8 [H, W, 3], RGB, upright.
            options: The request's choices.
            job: Takes the time of each stage.

        Raises:
            InvalidParameter: an option is out of range, or a box does not belong to the image.
            TypeError: the pixels have another form.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise TypeError(f"pixels must be uint8 [H, W, 3], RGB, not {pixels.dtype} {list(pixels.shape)}")
        size = pixels.shape[1], pixels.shape[0]
        self._limits.checked(options)
        check_boxes(options.boxes or (), *size)
        return self._prepared(size, pixels, options, job or Job(), lambda _: pixels)

    def reduction(self, header: Header, options: Options) -> int:
        """Return how far an image is reduced at least while it is decoded: 1, 2, 4 or 8."""
        return 1 if options.draw else self._reduction(header, options)

    def _reduction(self, header: Header, options: Options) -> int:
        """Return how far an image is reduced for detection and, if the faces are large, for the crops."""
        if options.boxes is not None:
            smallest = min(face.height for face in options.boxes)
            return header.reduction(self._metadata.input_size * max(header.width, header.height) / smallest)
        if options.detect:
            return header.reduction(self._detector.side)
        # The short side is padded, so the long side fills the network's input.
        return header.reduction(
            self._metadata.input_size * max(header.width, header.height) / min(header.width, header.height)
        )

    def at_full_size(self, prepared: Prepared, image: EncodedImage, job: Job, decode: Decode) -> Prepared:
        """Return the same faces in pixels of the original, for drawing."""
        width, height = prepared.pixels.shape[1], prepared.pixels.shape[0]
        if (width, height) == prepared.size:
            return prepared
        with job.stage(Stage.DECODE):
            pixels = decode(image, 1)
        factors = prepared.size[0] / width, prepared.size[1] / height
        return replace(prepared, pixels=pixels, faces=[face.scaled(*factors) for face in prepared.faces])

    def _prepared(
        self,
        size: tuple[int, int],
        pixels: NDArray[np.uint8],
        options: Options,
        job: Job,
        finer: Callable[[Sequence[Face]], NDArray[np.uint8]],
    ) -> Prepared:
        """Detect and crop.

        Args:
            size: Width and height of the original in pixels.
            pixels: The image, possibly reduced.
            options: Checked choices.
            job: Takes the time of each stage.
            finer: Returns the image with enough pixels for the crops of faces in `pixels`.
        """
        if not options.detect and options.boxes is None:
            return self._whole(size, pixels, job)
        if options.boxes is not None:
            factors = pixels.shape[1] / size[0], pixels.shape[0] / size[1]
            faces = [face.scaled(*factors) for face in options.boxes]
        else:
            faces = self._detected(pixels, options, job)
            if not faces and options.whole_if_none:
                return self._whole(size, pixels, job)
        larger = finer(faces)
        with job.stage(Stage.CROP):
            factor_x, factor_y = larger.shape[1] / pixels.shape[1], larger.shape[0] / pixels.shape[0]
            faces = [face.scaled(factor_x, factor_y) for face in faces]
            if self._landmarks is not None:
                found = self._landmarks.find(larger, faces, self._detector.frame_scale)
                faces = [self._with_sure_landmarks(larger, face, job) for face in found]
            crops = self._crops(larger, faces)
            return Prepared(size, pixels, [face.scaled(1 / factor_x, 1 / factor_y) for face in faces], crops)

    def _with_sure_landmarks(self, pixels: NDArray[np.uint8], face: Face, job: Job) -> Face:
        """Return the face without landmarks that turn it far, unless the detector finds it there upright."""
        roll = roll_of(face.landmarks) if face.landmarks else None
        if roll is None or degrees_between(roll, face.roll) <= _FAR:
            return face
        detector = upright(self._detector)
        if is_upright_at(detector, pixels, face, roll, self._limits.min_score, job):
            return face
        return replace(face, landmarks=None)

    def _whole(self, size: tuple[int, int], pixels: NDArray[np.uint8], job: Job) -> Prepared:
        """Return an image that is one face."""
        with job.stage(Stage.CROP):
            height, width = pixels.shape[:2]
            whole = crop(pixels, square_over(width, height), self._metadata.input_size, self._metadata.crop)
        return Prepared(size, pixels, [Face(Box(0, 0, width, height))], [whole])

    def _detected(self, pixels: NDArray[np.uint8], options: Options, job: Job) -> list[Face]:
        max_faces, min_score = self._limits.checked(options)
        detector = self._detector if options.turned else upright(self._detector)
        with job.stage(Stage.DETECT):
            # The score also steers the search: with a higher one, faces would have other boxes.
            found = detector.detect(pixels, min(min_score, self._limits.min_score), job)
        found = [face for face in found if face.score is None or face.score >= min_score]
        return sorted(found, key=lambda face: face.box.area, reverse=True)[:max_faces]

    def _finer_reduction(self, header: Header, pixels: NDArray[np.uint8], faces: Sequence[Face]) -> int | None:
        """Return the reduction that leaves the smallest face enough pixels, or None if it has them already."""
        if not faces or pixels.shape[1] == header.width:
            return None
        smallest = min(face.height for face in faces)
        reduction = header.reduction(max(pixels.shape[:2]) * self._metadata.input_size / smallest)
        return reduction if max(header.width, header.height) / reduction > max(pixels.shape[:2]) else None

    def _crops(self, pixels: NDArray[np.uint8], faces: Sequence[Face]) -> list[NDArray[np.uint8]]:
        geometry, size = self._metadata.crop, self._metadata.input_size
        scale = self._detector.frame_scale
        return [
            crop(pixels, square_around(face.box, face.landmarks, geometry, scale, face.roll), size, geometry)
            for face in faces
        ]
