"""DeepFace's requests, as its documentation sends them."""

import base64
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.service.conftest import plain
from tests.service.http.conftest import FACE, Serve

RED = base64.b64encode(plain("red")).decode()


@pytest.fixture
def client(serve: Serve) -> TestClient:
    return serve(FACE)


def asked(client: TestClient, **options: Any) -> Any:
    return client.post("/analyze", json={"img": RED, "actions": ["emotion"]} | options)


def test_a_form_has_the_options_of_json(serve: Serve) -> None:
    file = {"img": plain("red")}
    blind = serve()
    assert "enforce_detection=false" in blind.post("/analyze", files=file).json()["detail"]
    answer = blind.post("/analyze", files=file, data={"enforce_detection": "false", "actions": "['emotion']"})
    assert answer.json()["results"][0]["dominant_emotion"] == "angry"
    refused = blind.post("/analyze", files=file, data={"actions": '["age"]'})
    assert (refused.status_code, "only emotion is supported, not age" in refused.text) == (422, True)
    assert blind.post("/analyze", files=file, data={"max_faces": "many"}).status_code == 422
    long = blind.post("/analyze", files=file, data={"actions": "," * 20_000})
    assert (long.status_code, "more than 16,384 bytes" in long.text) == (422, True)
    empty = {"actions": "", "enforce_detection": "", "max_faces": ""}
    assert serve(FACE).post("/analyze", files=file, data=empty).status_code == 200


@pytest.mark.parametrize("image", [{"img": RED}, {"img": f"data:image/png;base64,{RED}"}, {"img_path": RED}])
def test_the_answer_has_deepface_s_form(client: TestClient, image: dict[str, str]) -> None:
    answer = client.post("/analyze", json={**image, "actions": ["emotion"], "align": True, "unknown": 1})
    assert answer.status_code == 200, answer.text
    (face,) = answer.json()["results"]
    predicted = client.post("/predict", content=plain("red")).json()["faces"][0]
    assert face["dominant_emotion"] == predicted["emotion"] == "angry"
    assert face["emotion"] == pytest.approx({k: 100 * v for k, v in predicted["probabilities"].items()})
    assert face["face_confidence"] == predicted["score"]
    box, eyes = predicted["box"], predicted["landmarks"]
    assert face["region"] == {
        "x": box["x"],
        "y": box["y"],
        "w": box["width"],
        "h": box["height"],
        "left_eye": eyes["left_eye"],
        "right_eye": eyes["right_eye"],
    }


def test_a_form_with_a_file_is_read(client: TestClient) -> None:
    answer = client.post("/analyze", files={"img": ("a.png", plain("red"))}, data={"actions": "['emotion']"})
    assert answer.json()["results"][0]["dominant_emotion"] == "angry"


@pytest.mark.parametrize("actions", [["emotion"], "emotion", "['emotion']", '["emotion"]'])
def test_actions_may_be_a_list_or_its_text(client: TestClient, actions: object) -> None:
    assert asked(client, actions=actions).status_code == 200


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"actions": ["emotion", "age"]}, "only emotion is supported, not age"),
        ({"actions": []}, "only emotion is supported, not none"),
        ({"actions": 3}, "actions"),
        ({"anti_spoofing": True}, "anti_spoofing is not supported"),
        ({"max_faces": 0}, "max_faces"),
        ({"img": "https://example.org/a.jpg"}, "URLs are not fetched"),
        ({"img": ""}, "missing image"),
        ({"img": [RED]}, "a list of images is not supported"),
        ({"img": "!!!"}, "invalid base64"),
        ({"more": "x" * 20_000}, "more than 16,384 bytes"),
    ],
)
def test_what_is_not_supported_is_named(client: TestClient, options: dict[str, Any], reason: str) -> None:
    answer = asked(client, **options)
    assert answer.status_code in (400, 422)
    assert reason in answer.json()["detail"]


def test_deepface_s_default_actions_are_refused_with_the_way_out(client: TestClient) -> None:
    answer = client.post("/analyze", json={"img": RED})
    assert 'send "actions": ["emotion"]' in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"img": 5, "actions": ["emotion"]}', b'"' * 50_000])
def test_other_json_is_refused(client: TestClient, body: bytes) -> None:
    answer = client.post("/analyze", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] in ("invalid_parameter", "missing_image")


def test_an_image_without_a_face_is_an_error_unless_it_is_one_face(serve: Serve) -> None:
    client = serve()
    answer = asked(client)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert "enforce_detection=false" in answer.json()["detail"]
    for options in ({"enforce_detection": False}, {"detector_backend": "skip"}):
        (face,) = asked(client, **options).json()["results"]
        assert face["face_confidence"] == 0
        assert (face["region"]["x"], face["region"]["left_eye"]) == (0, None)


def test_an_image_that_is_taken_whole_is_searched_and_counted_once(serve: Serve) -> None:
    client = serve()
    assert asked(client, enforce_detection=False).status_code == 200
    metrics = client.get("/metrics").text
    assert 'fer_stage_duration_seconds_count{stage="detect"} 1.0' in metrics
    assert "fer_faces_per_image_count 1.0" in metrics


def test_the_limits_are_those_of_predict(serve: Serve) -> None:
    client = serve(FACE, max_image_bytes=1000)
    large = base64.b64encode(bytes(1001)).decode()
    assert asked(client, img=large).json()["code"] == "image_too_large"
    assert asked(serve(FACE, api_keys_file=None), img=RED).status_code == 200
