from pathlib import Path

import pytest
from fer_service import Options, __version__, load
from fer_service.analysis.options import Limits
from fer_service.contract.errors import BundleError, DetectorError, SettingsError
from fer_service.contract.settings import Settings, load_settings
from fer_service.http.app import byte_budget, create_app
from starlette.testclient import TestClient, WebSocketDenialResponse

from tests.service.conftest import plain
from tests.service.http.conftest import Serve


def cpu(model: Path | str, **changes: object) -> Settings:
    return load_settings(**{"model": str(model), "device": "cpu", "detector": "haar", "threads": 1} | changes)


def test_an_analyzer_is_built_from_settings_alone(tiny_bundle: Path) -> None:
    analyzer = load(cpu(tiny_bundle, max_image_pixels=5000, max_faces=7, min_score=0.7, detect_side=160))
    assert analyzer.limits == Limits(5000, 7, 0.7)
    assert (analyzer.detector.name, analyzer.detector.side) == ("haar", 160)
    assert analyzer.classifier.bundle.path == tiny_bundle


def test_an_analyzer_is_built_from_the_environment(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MODEL": tiny_bundle, "DETECTOR": "haar", "DEVICE": "cpu", "MAX_FACES": 3}.items():
        monkeypatch.setenv(f"FER_{name}", str(value))
    analyzer = load()
    assert analyzer.limits.max_faces == 3
    (face,) = analyzer.analyze(plain("blue"), Options(detect=False)).faces
    assert face.emotion == "neutral"


def test_an_application_is_built_from_settings_alone(tiny_bundle: Path) -> None:
    with TestClient(create_app(cpu(tiny_bundle))) as client:
        assert client.get("/readyz").status_code == 200
        answer = client.post("/predict?detect=false", content=plain("blue")).json()
        assert answer["faces"][0]["emotion"] == "neutral"
        assert client.get("/model").json()["detector"] == "haar"


def test_an_application_is_built_from_the_environment(
    tiny_bundle: Path, yunet_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_MODEL", str(tiny_bundle))
    monkeypatch.setenv("FER_DETECTOR", str(yunet_file))
    monkeypatch.setenv("FER_DEVICE", "cpu")
    app = create_app()
    assert app.version == __version__
    with TestClient(app) as client:
        (face,) = client.post("/predict", content=plain("red")).json()["faces"]
        assert (face["emotion"], face["score"]) == ("angry", 1.0)
        assert client.get("/model").json()["detector"] == "yunet:planted"


@pytest.mark.parametrize(
    ("limit", "budget"), [(None, 320 * 2**20), (16 * 2**30, 320 * 2**20), (2**30, 128 * 2**20), (2**20, 2**17)]
)
def test_bodies_leave_room_in_the_containers_memory(limit: int | None, budget: int) -> None:
    assert byte_budget(load_settings(), limit) == budget


def test_replicas_share_the_containers_memory() -> None:
    assert byte_budget(load_settings(workers=4), 2**30) == 32 * 2**20


def test_a_wrong_setting_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_WORKER", "2")
    with pytest.raises(SettingsError, match="unknown setting FER_WORKER"):
        create_app()


def test_a_missing_model_stops_the_start() -> None:
    with pytest.raises(BundleError, match=r"/nowhere\.onnx: no such file"):
        create_app(cpu("/nowhere.onnx"))


def test_a_missing_detector_stops_the_start(tiny_bundle: Path) -> None:
    with pytest.raises(DetectorError, match=r"/nowhere\.onnx: no such detector file"):
        create_app(cpu(tiny_bundle, detector="/nowhere.onnx"))


@pytest.mark.parametrize(
    "path",
    [
        "/predict%0a",
        "/predict%0D%0A",
        "/predict%00",
        "/predict%2Fbatch",
        "/predict%5cbatch",
        "/predict/",
        "/PREDICT",
    ],
)
def test_a_path_has_one_spelling(serve: Serve, path: str) -> None:
    client = serve()
    answer = client.post(path, content=b"image")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    for stream in ("/stream%0a", "/stream/", "/nowhere", "/predict", "/web/app.js"):
        with pytest.raises(WebSocketDenialResponse) as denial, client.websocket_connect(stream):
            pass
        assert denial.value.headers["content-type"] == "application/problem+json"
        assert (denial.value.status_code, denial.value.json()["code"]) == (404, "not_found")
        assert stream.removesuffix("%0a") in denial.value.json()["detail"]
    assert 'fer_requests_total{code="404",route="unmatched"} 1.0' in client.get("/metrics").text
