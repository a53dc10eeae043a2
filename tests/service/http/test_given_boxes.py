import base64
import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.service.conftest import plain
from tests.service.http.conftest import FACE, Serve

GREEN = plain("lime", 80, 60)
BOXES = [
    {"x": 5, "y": 5, "width": 20, "height": 30},
    {"x": 1, "y": 2, "width": 40, "height": 40, "landmarks": None},
]
TEXT = json.dumps(BOXES)
IMAGE = base64.b64encode(GREEN).decode()


def sides(answer: Any) -> list[tuple[int, int]]:
    assert answer.status_code == 200, answer.text
    return [(face["box"]["x"], face["box"]["width"]) for face in answer.json()["faces"]]


@pytest.mark.parametrize(
    "sent",
    [
        {"content": GREEN, "params": {"boxes": TEXT}},
        {"files": {"file": GREEN}, "data": {"boxes": TEXT}},
        {"files": {"boxes": ("boxes.json", TEXT.encode()), "file": GREEN}},
        {"files": {"file": GREEN}, "params": {"boxes": TEXT}},
        {"json": {"image": IMAGE, "boxes": BOXES}},
        {"json": {"boxes": BOXES, "image": IMAGE}},
        {"json": {"image": IMAGE}, "params": {"boxes": TEXT}},
    ],
)
def test_boxes_come_in_the_query_the_form_and_the_json(client: TestClient, sent: dict[str, Any]) -> None:
    assert sides(client.post("/predict", **sent)) == [(5, 20), (1, 40)]


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        ({"content": GREEN, "params": {"boxes": ""}}, "boxes: invalid JSON"),
        ({"content": GREEN, "params": {"boxes": TEXT, "detect": "false"}}, "exclude each other"),
        ({"files": {"file": GREEN}, "data": {"boxes": "[{}]"}}, "boxes.0.x: missing"),
        ({"files": {"file": GREEN}, "data": {"boxes": [TEXT, TEXT]}}, "'boxes' twice"),
        ({"files": {"file": GREEN}, "data": {"boxes": TEXT}, "params": {"boxes": TEXT}}, "send them once"),
        (
            {"files": {"file": GREEN}, "data": {"boxes": json.dumps(BOXES * 500)}},
            "boxes has 1,000 boxes, the maximum",
        ),
        ({"json": {"image": IMAGE, "boxes": {}}}, "boxes: must be a list, not an object"),
        ({"json": {"image": IMAGE, "boxes": TEXT}}, "boxes: must be a list, not a text"),
        ({"json": {"image": IMAGE, "boxes": [{"x": "]"}]}}, "boxes.0.x: must be a number, not ]"),
        ({"json": {"boxes": BOXES}}, "missing name 'image'"),
        (
            {"content": f'{{"image": "{IMAGE}", "boxes": [[[', "headers": {"Content-Type": "application/json"}},
            "no end",
        ),
        (
            {
                "content": f'{{"image": "{IMAGE}", "boxes": [], "boxes": []}}',
                "headers": {"Content-Type": "application/json"},
            },
            "'boxes' twice",
        ),
    ],
)
def test_other_boxes_are_refused(client: TestClient, sent: dict[str, Any], detail: str) -> None:
    answer = client.post("/predict", **sent)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert detail in answer.json()["detail"]


@pytest.mark.parametrize(
    "sent",
    [
        {"files": [("file", GREEN)], "params": {"boxes": TEXT}},
        {"files": [("file", GREEN)], "data": {"boxes": TEXT}},
        {"json": {"images": [IMAGE], "boxes": BOXES}},
    ],
)
def test_boxes_belong_to_one_image(client: TestClient, sent: dict[str, Any]) -> None:
    answer = client.post("/predict/batch", **sent)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert "send each image with its boxes to /predict" in answer.json()["detail"]


@pytest.mark.parametrize(
    "sent", [{"files": {"file": GREEN}, "data": {"boxes": "null"}}, {"json": {"image": IMAGE, "boxes": None}}]
)
def test_null_is_no_list(serve: Serve, sent: dict[str, Any]) -> None:
    (face,) = serve(FACE).post("/predict", **sent).json()["faces"]
    assert face["score"] is not None


def test_an_answers_own_boxes_give_the_same_answer(serve: Serve) -> None:
    client = serve(FACE)
    found = client.post("/predict", content=GREEN).json()
    boxes = [face["box"] | {"landmarks": face["landmarks"]} for face in found["faces"]]
    again = client.post("/predict", content=GREEN, params={"boxes": json.dumps(boxes)}).json()
    (face,), (given) = found["faces"], again["faces"][0]
    assert given == face | {"score": None}


def test_a_drawn_answer_shows_given_boxes(client: TestClient) -> None:
    answer = client.post(
        "/predict", content=GREEN, params={"boxes": TEXT, "draw": "blur"}, headers={"Accept": "image/png"}
    )
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")


def test_what_to_draw_needs_an_image_as_the_answer(client: TestClient) -> None:
    answer = client.post("/predict", content=GREEN, params={"draw": "blur"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert "send Accept: image/jpeg or image/png" in answer.json()["detail"]
    unknown = client.post("/predict", content=GREEN, params={"draw": "smear"}, headers={"Accept": "image/png"})
    assert (unknown.status_code, "draw: must be" in unknown.json()["detail"]) == (422, True)


def test_an_empty_field_of_a_form_means_detection(client: TestClient) -> None:
    detected = client.post("/predict", content=GREEN).json()
    assert client.post("/predict", files={"file": GREEN}, data={"boxes": ""}).json() == detected
