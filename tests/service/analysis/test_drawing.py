import tracemalloc

import cv2
import numpy as np
import pytest
from fer_service.analysis.drawing import DrawnFormat, check_drawable, draw_prediction, encode, mark_of
from fer_service.contract.errors import InvalidParameter
from fer_service.contract.schemas import BoundingBox, FaceEmotion, ImageSize, ModelName, Prediction
from fer_service.imaging.draw import PALETTE
from fer_service.imaging.encoded import open_image

from tests.fakes import QUALITY
from tests.service.conftest import Pixels, encoded

LIMIT = 50_000_000


def face(emotion: str = "happy", confidence: float = 0.9, *, uncertain: bool = False) -> FaceEmotion:
    others = {name: (1 - confidence) / 2 for name in ("angry", "happy", "neutral") if name != emotion}
    probabilities = {name: others.get(name, confidence) for name in ("angry", "happy", "neutral")}
    return FaceEmotion(
        box=BoundingBox(x=20, y=40, width=60, height=50),
        score=None,
        landmarks=None,
        roll=0,
        quality=QUALITY,
        emotion=emotion,
        confidence=confidence,
        uncertain=uncertain,
        reasons=[],
        probabilities=probabilities,
    )


def prediction(*faces: FaceEmotion, width: int = 160, height: int = 120) -> Prediction:
    model = ModelName(name="tiny", version="1")
    return Prediction(image=ImageSize(width=width, height=height), faces=list(faces), model=model)


def drawn(pixels: Pixels, shown: Prediction, kind: DrawnFormat) -> bytes:
    draw_prediction(pixels, shown)
    return encode(pixels, kind)


def decoded(data: bytes) -> Pixels:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    return image.astype(np.uint8)


def test_a_png_holds_the_image_with_the_box_in_the_labels_colour() -> None:
    green = np.full((120, 160, 3), (0, 255, 0), np.uint8)
    pixels = decoded(drawn(green, prediction(face()), "png"))
    assert pixels.shape == (120, 160, 3)
    assert tuple(pixels[89, 50]) == PALETTE[1]
    assert tuple(pixels[60, 50]) == (0, 255, 0)


def test_a_jpeg_is_a_jpeg() -> None:
    data = drawn(np.full((120, 160, 3), (0, 255, 0), np.uint8), prediction(face()), "jpeg")
    assert data.startswith(b"\xff\xd8\xff")
    assert np.abs(decoded(data)[60, 50].astype(int) - (0, 255, 0)).max() < 6


def test_the_uncertain_are_marked() -> None:
    sure, unsure = mark_of(face()), mark_of(face("angry", 0.4, uncertain=True))
    assert (sure.texts[0], sure.dashed, sure.colour) == ("happy 90%", False, PALETTE[1])
    assert (unsure.texts[0], unsure.dashed, unsure.colour) == ("angry? 40%", True, PALETTE[0])


def test_a_name_stands_before_the_label_and_is_the_first_to_go() -> None:
    assert mark_of(face(), "#7").texts[:2] == ("#7 happy 90%", "happy 90%")


def test_a_side_that_is_too_long_for_jpeg_is_refused_with_the_way_out() -> None:
    header = open_image(encoded(np.zeros((1, 70_000, 3), np.uint8), "PNG"), LIMIT).header
    with pytest.raises(
        InvalidParameter, match="at most 65,500 pixels, this image has 70,000; send Accept: image/png"
    ):
        check_drawable(header, "jpeg")
    check_drawable(header, "png")


def test_the_longest_side_that_is_allowed_can_be_encoded() -> None:
    pixels = np.zeros((1, 65_500, 3), np.uint8)
    check_drawable(open_image(encoded(pixels, "PNG"), LIMIT).header, "jpeg")
    assert encode(pixels, "jpeg").startswith(b"\xff\xd8")


def test_drawing_needs_no_second_image_in_memory() -> None:
    width, height = 4000, 3000
    pixels = np.zeros((height, width, 3), np.uint8)
    faces = prediction(face(), width=width, height=height)
    drawn(pixels.copy(), faces, "jpeg")
    tracemalloc.start()
    drawn(pixels, faces, "jpeg")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.5 * pixels.nbytes
