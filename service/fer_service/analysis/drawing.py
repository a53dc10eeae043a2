"""A prediction drawn into its image: the encoded image in, an encoded image with boxes and labels out."""

from collections.abc import Sequence
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_service.contract.errors import InvalidParameter
from fer_service.contract.schemas import FaceEmotion, Prediction
from fer_service.imaging.annotate import PALETTE, Mark, annotate, drawable
from fer_service.imaging.decode import decode, read_header

ImageFormat = Literal["jpeg", "png"]
_PARAMETERS: Final[dict[ImageFormat, list[int]]] = {
    "jpeg": [cv2.IMWRITE_JPEG_QUALITY, 92],
    "png": [cv2.IMWRITE_PNG_COMPRESSION, 3],  # half the time of the default for a few per cent more bytes
}
_LONGEST_JPEG: Final = 65_535
_STRIP: Final = 256


def draw_prediction(data: bytes, prediction: Prediction, kind: ImageFormat, max_pixels: int) -> bytes:
    """Draw what was found into the upright image, at its full size.

    Memory: the image's pixels (3 bytes each), for a moment twice while OpenCV decodes, and the encoded result.

    Args:
        data: The encoded image.
        prediction: Of the same bytes.
        kind: What to encode to.
        max_pixels: As for the prediction.

    Raises:
        InvalidParameter: the image is longer than a JPEG can be.
        RequestError: it cannot be decoded; the subclass says why.
    """
    header = read_header(data, max_pixels)
    if kind == "jpeg" and max(header.width, header.height) > _LONGEST_JPEG:
        raise InvalidParameter(
            f"no JPEG has a side of {max(header.width, header.height):,} pixels; ask with Accept: image/png"
        )
    pixels = decode(data, header)
    annotate(pixels, [mark_of(face) for face in prediction.faces])
    _swap_in_place(pixels)
    _, encoded = cv2.imencode(f".{kind}", pixels, _PARAMETERS[kind])
    return encoded.tobytes()


def mark_of(face: FaceEmotion, name: str = "") -> Mark:
    """How a face is drawn: a broken line and a question mark where the model is not certain.

    Args:
        face: As predicted.
        name: Put before the label, such as a track's id.
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


def _swap_in_place(pixels: NDArray[np.uint8]) -> None:
    """RGB to the BGR that OpenCV encodes, without a second image in memory."""
    for top in range(0, pixels.shape[0], _STRIP):
        strip = pixels[top : top + _STRIP]
        strip[:] = strip[:, :, ::-1].copy()
