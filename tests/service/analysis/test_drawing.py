import tracemalloc

import cv2
import numpy as np
import pytest
from fer_service.analysis.drawing import draw_prediction, mark_of
from fer_service.contract.errors import InvalidParameter, TooManyPixels
from fer_service.contract.schemas import BoundingBox, FaceEmotion, ImageSize, ModelName, Prediction
from fer_service.imaging.draw import PALETTE
from PIL import Image

from tests.service.conftest import Pixels, encoded, plain

LIMIT = 50_000_000


def face(emotion: str = "happy", confidence: float = 0.9, *, uncertain: bool = False) -> FaceEmotion:
    others = {name: (1 - confidence) / 2 for name in ("angry", "happy", "neutral") if name != emotion}
    probabilities = {name: others.get(name, confidence) for name in ("angry", "happy", "neutral")}
    return FaceEmotion(
        box=BoundingBox(x=20, y=40, width=60, height=50),
        score=None,
        landmarks=None,
        emotion=emotion,
        confidence=confidence,
        uncertain=uncertain,
        probabilities=probabilities,
    )


def prediction(*faces: FaceEmotion, width: int = 160, height: int = 120) -> Prediction:
    model = ModelName(name="tiny", version="1")
    return Prediction(image=ImageSize(width=width, height=height), faces=list(faces), model=model)


def decoded(data: bytes) -> Pixels:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    return image.astype(np.uint8)


def test_a_png_holds_the_image_with_the_box_in_the_labels_colour() -> None:
    green = encoded(np.full((120, 160, 3), (0, 255, 0), np.uint8), "PNG")
    pixels = decoded(draw_prediction(green, prediction(face()), "png", LIMIT))
    assert pixels.shape == (120, 160, 3)
    assert tuple(pixels[89, 50]) == PALETTE[1]
    assert tuple(pixels[60, 50]) == (0, 255, 0)


def test_a_jpeg_is_a_jpeg() -> None:
    data = draw_prediction(plain("lime", 160, 120), prediction(face()), "jpeg", LIMIT)
    assert data.startswith(b"\xff\xd8\xff")
    assert np.abs(decoded(data)[60, 50].astype(int) - (0, 255, 0)).max() < 6


def test_a_turned_photo_is_drawn_upright() -> None:
    source = np.zeros((80, 160, 3), np.uint8)
    source[:, :80] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the file's left is the image's top
    turned = encoded(source, "JPEG", exif=exif)
    pixels = decoded(draw_prediction(turned, prediction(), "png", LIMIT))
    assert pixels.shape == (160, 80, 3)
    assert pixels[20, 40, 0] > 250
    assert pixels[140, 40, 0] < 5


def test_the_uncertain_are_marked() -> None:
    sure, unsure = mark_of(face()), mark_of(face("angry", 0.4, uncertain=True))
    assert (sure.texts[0], sure.dashed, sure.colour) == ("happy 90%", False, PALETTE[1])
    assert (unsure.texts[0], unsure.dashed, unsure.colour) == ("angry? 40%", True, PALETTE[0])


def test_a_name_stands_before_the_label_and_is_the_first_to_go() -> None:
    assert mark_of(face(), "#7").texts[:2] == ("#7 happy 90%", "happy 90%")


def test_an_image_too_long_for_a_jpeg_names_the_way_out() -> None:
    long = encoded(np.zeros((1, 70_000, 3), np.uint8), "PNG")
    with pytest.raises(InvalidParameter, match="image/png"):
        draw_prediction(long, prediction(), "jpeg", LIMIT)
    assert decoded(draw_prediction(long, prediction(), "png", LIMIT)).shape == (1, 70_000, 3)


def test_pixels_are_limited_before_they_are_decoded() -> None:
    with pytest.raises(TooManyPixels):
        draw_prediction(plain("lime", 160, 120), prediction(), "png", 1000)


def test_a_large_image_is_in_memory_once() -> None:
    width, height = 4000, 3000
    data = plain("lime", width, height)
    faces = prediction(face(), width=width, height=height)
    draw_prediction(data, faces, "jpeg", LIMIT)
    tracemalloc.start()
    draw_prediction(data, faces, "jpeg", LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.3 * 3 * width * height
