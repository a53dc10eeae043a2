"""A prediction drawn into its image, and the image encoded."""

from collections.abc import Sequence
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_service.contract.errors import InvalidParameter
from fer_service.contract.schemas import FaceEmotion, Prediction
from fer_service.imaging.draw import PALETTE, Mark, draw_marks, drawable
from fer_service.imaging.header import Header

DrawnFormat = Literal["jpeg", "png"]
Drawing = Literal["box", "blur", "pixelate", "none"]
_PARAMETERS: Final[dict[DrawnFormat, list[int]]] = {
    "jpeg": [cv2.IMWRITE_JPEG_QUALITY, 92],
    "png": [],  # OpenCV's default (run lengths) takes 40 % of the time of level 3, for 6 to 9 % more bytes
}
# Longest sides in pixels that the encoders take: libjpeg (JPEG_MAX_DIMENSION), and OpenCV's for PNG.
_MAX_SIDES: Final[dict[DrawnFormat, int]] = {"jpeg": 65_500, "png": 1_000_000}
_STRIP: Final = 256


def check_drawable(header: Header, kind: DrawnFormat) -> None:
    """Refuse an image that the format cannot hold.

    Raises:
        InvalidParameter: a side is longer than the format allows.
    """
    side, longest = max(header.width, header.height), _MAX_SIDES[kind]
    if side > longest:
        way_out = "image/png" if kind == "jpeg" else "application/json"
        raise InvalidParameter(
            f"a {kind.upper()} side has at most {longest:,} pixels, this image has {side:,}; "
            f"send Accept: {way_out}"
        )


def draw_prediction(pixels: NDArray[np.uint8], prediction: Prediction) -> None:
    """Draw boxes and labels.

    Args:
        pixels: uint8 [H, W, 3], RGB, of the size that the prediction is about; overwritten.
        prediction: The faces.
    """
    draw_marks(pixels, [mark_of(face) for face in prediction.faces])


def encode(pixels: NDArray[np.uint8], kind: DrawnFormat) -> bytes:
    """Encode an image, without any metadata.

    Args:
        pixels: uint8 [H, W, 3], RGB; overwritten.
        kind: Format to encode to.
    """
    _swap_channels(pixels)
    _, encoded = cv2.imencode(f".{kind}", pixels, _PARAMETERS[kind])
    return encoded.tobytes()


def mark_of(face: FaceEmotion, name: str = "") -> Mark:
    """Return how to draw a face: with a dashed box and a question mark if the model is uncertain.

    Args:
        face: A predicted face.
        name: Text before the label, such as a track id.
    """
    labels: Sequence[str] = list(face.probabilities)
    index = labels.index(face.emotion)
    label = drawable(face.emotion, f"class {index + 1}") + ("?" if face.uncertain else "")
    longest = f"{label} {face.confidence:.0%}"
    texts = (longest, label, label[:4])
    return Mark(
        (face.box.x, face.box.y, face.box.width, face.box.height),
        (f"{name} {longest}", *texts) if name else texts,
        PALETTE[index % len(PALETTE)],
        dashed=face.uncertain,
    )


def _swap_channels(pixels: NDArray[np.uint8]) -> None:
    """Swap RGB to the BGR that OpenCV encodes, in place: a second image would double the memory."""
    for top in range(0, pixels.shape[0], _STRIP):
        strip = pixels[top : top + _STRIP]
        strip[:] = strip[:, :, ::-1].copy()
