"""What a request may choose, and the limits of an image."""

from dataclasses import dataclass

from fer_service.analysis.drawing import Drawing, DrawnFormat
from fer_service.contract.errors import InvalidParameter
from fer_service.detection.detector import Face


@dataclass(frozen=True)
class Options:
    """The choices of one request.

    Attributes:
        detect: False takes the whole image as one face.
        whole_if_none: Take an image without a face as one face.
        max_faces: Maximum faces, the largest first; None uses `Limits.max_faces`.
        min_score: Minimum detector score, 0 to 1; None uses `Limits.min_score`.
        draw: Format of the annotated image; None returns no image.
        drawing: What the annotated image shows: boxes and labels, covered faces (`blur`, `pixelate`), or no marks
            (`none`).
        turned: Also find the faces of a turned image, if the detector can. None does so for encoded images, and
            not for pixels: cameras give upright ones.
        boxes: Faces in pixels of the upright image, instead of detection; they are answered in this order.
    """

    detect: bool = True
    whole_if_none: bool = False
    max_faces: int | None = None
    min_score: float | None = None
    draw: DrawnFormat | None = None
    drawing: Drawing = "box"
    turned: bool | None = None
    boxes: tuple[Face, ...] | None = None

    @property
    def covers(self) -> bool:
        """True if the faces of the drawn image are covered."""
        return self.draw is not None and self.drawing in ("blur", "pixelate")


@dataclass(frozen=True)
class Limits:
    """Limits per image.

    Attributes:
        max_pixels: Maximum width × height.
        max_faces: Maximum faces in an answer.
        min_score: Faces below this detector score are left out, unless the request has its own.
    """

    max_pixels: int = 51_000_000
    max_faces: int = 100
    min_score: float = 0.6

    def checked(self, options: Options) -> tuple[int, float]:
        """Return the maximum number of faces and the minimum score of a request.

        Raises:
            InvalidParameter: an option is out of range.
        """
        max_faces = self.max_faces if options.max_faces is None else options.max_faces
        min_score = self.min_score if options.min_score is None else options.min_score
        if not 1 <= max_faces <= self.max_faces:
            raise InvalidParameter(f"max_faces must be 1 to {self.max_faces}, not {max_faces}")
        if not 0 <= min_score <= 1:
            raise InvalidParameter(f"min_score must be 0 to 1, not {min_score}")
        if options.boxes is not None:
            if not options.detect:
                raise InvalidParameter("boxes and detect=false exclude each other: send one of them")
            if options.min_score is not None:
                raise InvalidParameter("boxes and min_score exclude each other: given boxes have no scores")
            if len(options.boxes) > max_faces:
                limit = "max_faces" if options.max_faces is not None else "FER_MAX_FACES"
                raise InvalidParameter(
                    f"boxes has {len(options.boxes):,} boxes, the maximum is {max_faces:,} ({limit})"
                )
        return max_faces, min_score
