import json
import logging
from pathlib import Path

import pytest
from fer_service.observability.logs import JsonFormatter
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tests.service.conftest import plain
from tests.service.http.conftest import FACE, Serve

SECRET = "the-name-of-a-person"


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    """The access log as JSON."""
    records = [record for record in caplog.records if record.name == "fer_service.observability.access_log"]
    return [json.loads(JsonFormatter().format(record)) for record in records]


@pytest.fixture
def logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> TestClient:
    caplog.set_level(logging.INFO, logger="fer_service")
    return serve(FACE, access_log=True)


def test_a_request_is_one_line_with_its_id_its_times_and_its_faces(
    logged: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    logged.post("/predict", content=plain("lime"), headers={"X-Request-ID": "the-id"})
    (line,) = lines(caplog)
    assert (line["request_id"], line["method"], line["route"], line["status"]) == (
        "the-id",
        "POST",
        "/predict",
        200,
    )
    assert (line["images"], line["faces"]) == (1, 1)
    stages = line["stages_ms"]
    assert isinstance(stages, dict)
    assert list(stages) == ["queue", "decode", "detect", "crop", "infer"]
    assert isinstance(line["ms"], float)
    assert 0 < sum(stages.values()) <= line["ms"]


def test_a_batch_adds_its_images_up_and_leaves_the_bad_ones_out(
    logged: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    logged.post("/predict/batch", files=[("file", plain("lime")), ("file", b"none"), ("file", plain("red"))])
    (line,) = lines(caplog)
    assert (line["images"], line["faces"], line["status"]) == (2, 2, 200)


def test_an_image_whose_answer_is_an_error_counts(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="fer_service")
    serve(access_log=True).post("/analyze", files={"img": ("a.png", plain("lime"))})
    (line,) = lines(caplog)
    assert (line["status"], line["images"], line["faces"]) == (422, 1, 0)


def test_a_request_without_an_image_has_no_faces(logged: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    logged.get("/model")
    logged.post("/predict", content=b"no image")
    assert [(line["route"], line["status"], "faces" in line) for line in lines(caplog)] == [
        ("/model", 200, False),
        ("/predict", 422, False),
    ]


def test_a_stream_is_one_line_at_its_end_that_adds_its_answered_frames_up(
    logged: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"X-Request-ID": "the-id"}
    with logged.websocket_connect("/stream", headers=headers) as stream:
        for frame in (plain("lime"), b"no image", plain("red"), plain("blue")):
            stream.send_bytes(frame)
            stream.receive_text()
        assert lines(caplog) == []
    (line,) = lines(caplog)
    assert (line["request_id"], line["method"], line["route"], line["status"]) == ("the-id", "GET", "/stream", 101)
    assert (line["images"], line["faces"]) == (3, 3)
    stages = line["stages_ms"]
    assert isinstance(stages, dict)
    assert list(stages) == ["queue", "decode", "detect", "crop", "infer"]
    assert isinstance(line["ms"], float)
    assert 0 < sum(stages.values()) <= line["ms"]


def test_a_stream_that_was_refused_is_a_line_with_its_status(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="fer_service")
    keys = tmp_path / "keys.txt"
    keys.write_text("some-key-0123456789")
    client = serve(FACE, access_log=True, api_keys_file=keys)
    for path, protocols in (("/stream", [f"fer.key.{SECRET}"]), (f"/{SECRET}", [])):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(path, subprotocols=protocols):
            pass
    assert [(line["route"], line["status"]) for line in lines(caplog)] == [("/stream", 401), ("unmatched", 404)]
    assert SECRET not in caplog.text


def test_names_and_addresses_that_a_client_chose_are_not_logged(
    logged: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    logged.post("/predict/batch", files=[("file", (f"{SECRET}.jpg", plain("lime")))])
    logged.get(f"/{SECRET}?{SECRET}={SECRET}")
    text = json.dumps(lines(caplog))
    assert text.count('"level"') == 2
    assert SECRET not in text
    assert '"route": "unmatched"' in text


def test_people_read_the_same(logged: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    logged.post("/predict", content=plain("lime"), headers={"X-Request-ID": "the-id"})
    (record,) = [record for record in caplog.records if record.name == "fer_service.observability.access_log"]
    assert record.getMessage().startswith("POST /predict 200 ")
    assert "1 images, 1 faces: queue " in record.getMessage()
    assert record.getMessage().endswith("[the-id]")


def test_it_is_off_unless_it_is_wanted(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="fer_service")
    serve(FACE).post("/predict", content=plain("lime"))
    assert lines(caplog) == []
