import json
import math
from typing import Any

import numpy as np
import pytest
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.given_boxes import MAX_BYTES, check_boxes, parse_boxes
from fer_service.analysis.options import Limits, Options
from fer_service.contract.boxes import Box
from fer_service.contract.errors import InvalidParameter
from fer_service.contract.schemas import BoundingBox
from fer_service.detection.detector import Face

from tests.fakes import FakeClassifier, FakeDetector
from tests.service.conftest import Pixels, encoded, plain

UPRIGHT = {
    "right_eye": [30, 40],
    "left_eye": [70, 40],
    "nose": [50, 60],
    "mouth_right": [35, 80],
    "mouth_left": [65, 80],
}


def stripes() -> Pixels:
    """Red, green and blue, side by side, 300×100."""
    pixels = np.zeros((100, 300, 3), np.uint8)
    for channel in range(3):
        pixels[:, channel * 100 : (channel + 1) * 100, channel] = 250
    return pixels


def box(**changes: Any) -> dict[str, Any]:
    return {"x": 10, "y": 20, "width": 80, "height": 100} | changes


def analyzer(**limits: Any) -> Analyzer:
    return Analyzer(FakeDetector(Face(Box(0, 0, 9, 9))), FakeClassifier(), Limits(**limits))


def test_given_faces_are_answered_in_their_order_without_detection() -> None:
    line = analyzer()
    boxes = parse_boxes(json.dumps([box(x=10, width=80, height=80), box(x=220, width=60, height=60), box(x=100)]))
    faces = line.analyze(encoded(stripes(), "PNG"), Options(boxes=boxes)).faces
    assert [face.emotion for face in faces] == ["angry", "neutral", "happy"]
    assert [face.box.x for face in faces] == [10, 220, 100]
    assert {face.score for face in faces} == {None}
    assert isinstance(line.detector, FakeDetector)
    assert line.detector.seen == []


def test_a_box_that_reaches_beyond_the_image_is_clipped_and_its_crop_repeats_the_border() -> None:
    line, options = analyzer(), Options(boxes=parse_boxes(json.dumps([box(x=-40, y=10, width=80, height=80)])))
    (face,) = line.analyze(encoded(stripes(), "PNG"), options).faces
    assert face.box == BoundingBox(x=0, y=10, width=40, height=80)
    assert (face.quality.cut, face.emotion, face.quality.size) == (0.5, "angry", 40)
    (crop,) = line.preparer.prepare(line.open(encoded(stripes(), "PNG"), options), options).crops
    assert (crop == (250, 0, 0)).all()


def test_landmarks_come_back_with_pose_and_roll() -> None:
    (face,) = parse_boxes(json.dumps([box(landmarks=UPRIGHT)]))
    assert (face.roll, face.landmarks and face.landmarks[0]) == (0, (30, 40))
    (answer,) = analyzer().analyze(encoded(stripes(), "PNG"), Options(boxes=(face,))).faces
    assert answer.landmarks is not None
    assert answer.landmarks.nose == (50, 60)
    assert answer.quality.pose is not None
    assert abs(answer.quality.pose.yaw) < 5


@pytest.mark.parametrize(("turns", "roll"), [(0, 0), (1, 90), (2, 180), (3, -90)])
def test_landmarks_tell_by_which_right_angle_a_face_is_turned(turns: int, roll: int) -> None:
    points = {name: tuple(point) for name, point in UPRIGHT.items()}
    for _ in range(turns):  # clockwise
        points = {name: (120 - y, x) for name, (x, y) in points.items()}
    (face,) = parse_boxes(json.dumps([box(landmarks=points)]))
    assert face.roll == roll


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "boxes: invalid JSON"),
        ("nonsense", "boxes: invalid JSON"),
        ("[" * 10_000, "boxes: invalid JSON"),
        ("null", "boxes: must be a list"),
        ("{}", "boxes: must be a list"),
        ("[]", "boxes: the list is empty"),
        ("[1]", r"boxes\.0: must be a mapping"),
        (json.dumps([box(), {"x": 1}]), r"boxes\.1\.y: missing"),
        (json.dumps([box(width=0)]), r"boxes\.0\.width: must be at least 1.0, not 0"),
        (json.dumps([box(height=-5)]), r"boxes\.0\.height: must be at least 1.0, not -5"),
        (json.dumps([box(x=math.nan)]), r"boxes\.0\.x: must be a finite number, not nan"),
        (json.dumps([box(y=math.inf)]), r"boxes\.0\.y: must be a finite number, not inf"),
        (json.dumps([box(x=1)]).replace("1", "1e999"), r"boxes\.0\.x: must be a finite number"),
        (json.dumps([box(x="1")]), r"boxes\.0\.x: must be a number, not 1"),
        (json.dumps([box(x=None)]), r"boxes\.0\.x: must be a number"),
        (json.dumps([box(x=True)]), r"boxes\.0\.x: must be a number"),
        (json.dumps([box(w=5)]), r"boxes\.0\.w: unknown name"),
        (json.dumps([box(landmarks={})]), r"boxes\.0\.landmarks\.right_eye: missing"),
        (json.dumps([box(landmarks=UPRIGHT | {"nose": [1]})]), r"boxes\.0\.landmarks\.nose"),
        (" " * (MAX_BYTES + 1), r"the text has 262,145 bytes, the maximum is 262,144"),
    ],
)
def test_what_is_no_list_of_boxes_is_named(text: str, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        parse_boxes(text)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (box(x=100), r"boxes\.1: the box of 80×100 pixels at 100, 20 lies outside the image of 100×90 pixels"),
        (box(x=-80), "lies outside"),
        (box(y=90), "lies outside"),
        (box(y=-100), "lies outside"),
        (box(width=201), "more than 2 times as large as the image of 100×90"),
        (box(x=-1e300, width=1e308), "more than 2 times as large"),
        (box(landmarks=UPRIGHT | {"nose": [1e30, 0]}), r"has a landmark too far outside it, at 1e\+30, 0"),
    ],
)
def test_boxes_that_do_not_belong_to_the_image_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        check_boxes(parse_boxes(json.dumps([box(), given])), 100, 90)


def test_pixels_take_boxes_as_encoded_images_do() -> None:
    options = Options(boxes=parse_boxes(json.dumps([box(), box(landmarks=UPRIGHT)])))
    pixels = stripes()
    assert analyzer().process_pixels(pixels, options) == analyzer().analyze(encoded(pixels, "PNG"), options)
    with pytest.raises(InvalidParameter, match="lies outside"):
        analyzer().process_pixels(pixels[:10], options)


@pytest.mark.parametrize(
    ("options", "limits", "message"),
    [
        ({"detect": False}, {}, "boxes and detect=false exclude each other"),
        ({"min_score": 0.5}, {}, "boxes and min_score exclude each other"),
        ({}, {"max_faces": 2}, r"boxes has 3 boxes, the maximum is 2 \(FER_MAX_FACES\)"),
        ({"max_faces": 2}, {}, r"boxes has 3 boxes, the maximum is 2 \(max_faces\)"),
    ],
)
def test_what_contradicts_boxes_is_refused(options: dict[str, Any], limits: dict[str, int], message: str) -> None:
    boxes = parse_boxes(json.dumps([box()] * 3))
    with pytest.raises(InvalidParameter, match=message):
        analyzer(**limits).analyze(plain("red", 200, 200), Options(boxes=boxes, **options))


@pytest.mark.parametrize(("height", "reduction"), [(384, 8), (192, 4), (96, 2), (95, 1), (20, 1)])
def test_an_image_is_reduced_as_far_as_the_smallest_box_allows(height: int, reduction: int) -> None:
    line = analyzer()
    options = Options(boxes=(Face(Box(0, 0, 1000, 1000)), Face(Box(0, 0, 5, height))))
    image = line.open(plain("red", 2000, 1500), options)
    assert line.preparer.reduction(image.header, options) == reduction
    prepared = line.preparer.prepare(image, options)
    assert prepared.pixels.shape[:2] == (-(-1500 // reduction), 2000 // reduction)
    assert line.analyze(image.data, options).faces[0].box.width == 1000
