import hashlib

import httpx
import pytest
from fer_service import assets
from fer_service.contract.schemas import Prediction
from fer_service.detection.own import open_own

from tests.e2e.server import Server
from tests.scenes import Pixels, blank, encode_image, two_faces


def predicted(answer: httpx.Response) -> Prediction:
    assert answer.status_code == 200, answer.text
    return Prediction.model_validate_json(answer.content)


def test_the_astronaut_smiles(server: Server, astronaut_jpeg: bytes) -> None:
    answer = server.client.post("/predict", files={"file": ("a.jpg", astronaut_jpeg, "image/jpeg")})
    prediction = predicted(answer)
    (face,) = prediction.faces
    assert face.emotion == "happy"
    assert not face.uncertain
    assert abs(sum(face.probabilities.values()) - 1) < 1e-4
    assert 140 < face.box.x + face.box.width / 2 < 300
    assert answer.headers["x-request-id"]
    assert "decode" in answer.headers["server-timing"]


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/octet-stream", None])
def test_a_raw_body_is_answered_like_a_form(
    server: Server, astronaut_jpeg: bytes, content_type: str | None
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    raw = predicted(server.client.post("/predict", content=astronaut_jpeg, headers=headers))
    form = predicted(server.client.post("/predict", files={"file": astronaut_jpeg}))
    assert raw == form


def test_two_faces_side_by_side(server: Server) -> None:
    prediction = predicted(server.client.post("/predict", content=encode_image(two_faces(), ".png")))
    left, right = sorted(prediction.faces, key=lambda face: face.box.x)
    assert left.box.x + left.box.width < 512 < right.box.x
    assert left.emotion == right.emotion == "happy"


def test_an_image_without_a_face_has_an_empty_list(server: Server) -> None:
    prediction = predicted(server.client.post("/predict", content=encode_image(blank(300, 200), ".png")))
    assert prediction.faces == []
    assert (prediction.image.width, prediction.image.height) == (300, 200)


def test_without_detection_the_whole_image_is_the_face(server: Server, astronaut: Pixels) -> None:
    crop = encode_image(astronaut[60:200, 155:295], ".png")
    prediction = predicted(server.client.post("/predict?detect=false", content=crop))
    (face,) = prediction.faces
    assert face.emotion == "happy"
    assert (face.box.width, face.box.height, face.score) == (140, 140, None)


def test_a_batch_keeps_its_order_and_its_bad_items_to_themselves(server: Server, astronaut_jpeg: bytes) -> None:
    parts = [
        ("file", ("good.jpg", astronaut_jpeg)),
        ("file", ("bad.txt", b"no image")),
        ("file", ("again.jpg", astronaut_jpeg)),
    ]
    answer = server.client.post("/predict/batch", files=parts)
    results = answer.json()["results"]
    assert [result["name"] for result in results] == ["good.jpg", "bad.txt", "again.jpg"]
    assert results[0]["faces"] == results[2]["faces"]
    assert results[1]["error"]["code"] == "undecodable_image"


def test_the_model_route_says_which_model_provider_and_detector_run(server: Server) -> None:
    card = server.client.get("/model").json()
    assert card["provider"] == "CPUExecutionProvider"
    assert card["detector"] == open_own(assets.DETECTOR, 640).name
    assert card["labels"] == ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
    assert card["sha256"] == hashlib.sha256(assets.int8_file(assets.MODELS["bundled"]).read_bytes()).hexdigest()


def test_metrics_count_what_was_answered(server: Server, astronaut_jpeg: bytes) -> None:
    before = counted(server, 'fer_predictions_total{emotion="happy"}')
    predicted(server.client.post("/predict", content=astronaut_jpeg))
    assert counted(server, 'fer_predictions_total{emotion="happy"}') == before + 1
    assert counted(server, 'fer_requests_total{code="200",route="/predict"}') >= 1


def counted(server: Server, series: str) -> float:
    lines = server.client.get("/metrics").text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(series)), 0.0)
