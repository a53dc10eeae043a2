import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.service.conftest import plain
from tests.service.http.conftest import FACE, Serve, build, call, running

COUNT = """
from prometheus_client import CollectorRegistry
from fer_service.observability.metrics import Metrics
metrics = Metrics(CollectorRegistry())
metrics.predictions.labels("happy").inc(3)
metrics.describe("tiny", "1", "abc", "CPUExecutionProvider", "haar")
"""


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """The signals that the server's own handler has heard."""
    numbers: list[int] = []
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda number, frame: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGTERM, before)


def test_a_warm_service_lives_and_is_ready(client: TestClient) -> None:
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_while_it_drains_it_is_not_ready_and_still_answers(heard: list[int]) -> None:
    async def scenario() -> None:
        async with running(build(FACE, drain_delay=3600)) as app:
            assert (await call(app, "/readyz", b"", method="GET")).status == 200
            os.kill(os.getpid(), signal.SIGTERM)
            ready = await call(app, "/readyz", b"", method="GET")
            assert (ready.status, ready.code) == (503, "draining")
            assert (await call(app, "/livez", b"", method="GET")).status == 200
            assert (await call(app, "/predict", plain("red"))).status == 200
            assert heard == []

    asyncio.run(scenario())


def test_while_it_drains_clients_are_told_to_connect_anew(heard: list[int]) -> None:
    async def scenario() -> None:
        async with running(build(FACE, drain_delay=3600)) as app:
            assert "connection" not in (await call(app, "/predict", plain("red"))).headers
            os.kill(os.getpid(), signal.SIGTERM)
            for path, method in (("/predict", "POST"), ("/livez", "GET"), ("/nowhere", "GET")):
                answer = await call(app, path, plain("red"), method=method)
                assert answer.headers["connection"] == "close"

    asyncio.run(scenario())


def test_what_auto_fell_back_to_is_a_metric(serve: Serve) -> None:
    lines = serve(FACE).get("/metrics").text.splitlines()
    assert 'fer_fallback{part="device"} 0.0' in lines
    assert 'fer_fallback{part="detector"} 1.0' in lines


def test_after_its_end_it_is_dead() -> None:
    async def scenario() -> None:
        async with running(build(FACE)) as app:
            pass
        alive = await call(app, "/livez", b"", method="GET")
        assert (alive.status, alive.code) == (503, "not_ready")

    asyncio.run(scenario())


def test_metrics_tell_what_was_done(client: TestClient) -> None:
    client.post("/predict", content=plain("lime"))
    client.post("/predict", content=b"no image")
    client.get("/nowhere/at/all")
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    for line in (
        'fer_requests_total{code="200",route="/predict"} 1.0',
        'fer_requests_total{code="422",route="/predict"} 1.0',
        'fer_requests_total{code="404",route="unmatched"} 1.0',
        'fer_predictions_total{emotion="happy"} 1.0',
        'fer_predictions_total{emotion="angry"} 0.0',
        "fer_faces_per_image_count 1.0",
        "fer_batch_size_count 1.0",
        "fer_requests_in_flight 0.0",
        'fer_stage_duration_seconds_count{stage="decode"} 1.0',
        'fer_request_duration_seconds_count{route="/predict"} 2.0',
    ):
        assert line in response.text.splitlines()
    assert f'detector="fake",name="tiny",provider="FakeExecutionProvider",sha256="{"f" * 64}"' in response.text


def test_openmetrics_is_given_to_who_asks_for_it(client: TestClient) -> None:
    response = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


@pytest.mark.parametrize("version", ["a", "a.0", "1.0.0rc1", "%B2", "", "1.0.0.0"])
def test_an_odd_version_gets_the_default_format(client: TestClient, version: str) -> None:
    response = client.get("/metrics", headers={"Accept": f"application/openmetrics-text; version={version}"})
    assert response.status_code == 200


def test_replicas_are_scraped_together(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    root = Path(__file__).parents[3]
    for process in [subprocess.Popen([sys.executable, "-c", COUNT], cwd=root) for _ in range(2)]:
        assert process.wait(30) == 0
    lines = serve(FACE, workers=2).get("/metrics").text.splitlines()
    assert 'fer_predictions_total{emotion="happy"} 6.0' in lines
    assert any(line.startswith("fer_memory_bytes ") for line in lines)
    assert [line.split()[-1] for line in lines if line.startswith("fer_model_info{")] == ["1.0"]


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/livez", "/readyz", "/metrics", "/model", "/web/app.js"]
)
def test_head_is_answered_as_get_without_a_body(client: TestClient, path: str) -> None:
    get, head = client.get(path), client.head(path)
    assert (get.status_code, head.status_code, head.content) == (200, 200, b"")
    varying = {"x-request-id", "content-length"} if path == "/metrics" else {"x-request-id"}
    assert set(head.headers) == set(get.headers)
    assert all(head.headers[name] == get.headers[name] for name in set(head.headers) - varying)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        *((path, path) for path in ("/", "/docs", "/openapi.json", "/livez", "/readyz", "/model")),
        ("/web/app.js", "/web/{path:path}"),
        ("/web/swagger/swagger-ui.css", "/web/swagger/{path:path}"),
    ],
)
def test_get_and_head_are_counted_under_their_route(client: TestClient, path: str, route: str) -> None:
    client.get(path)
    client.head(path)
    assert f'fer_requests_total{{code="200",route="{route}"}} 2.0' in client.get("/metrics").text.splitlines()


@pytest.mark.parametrize("path", ["/", "/docs", "/livez", "/readyz", "/metrics", "/model"])
def test_another_method_is_told_that_get_and_head_are_allowed(client: TestClient, path: str) -> None:
    answer = client.post(path)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_head_of_a_service_that_is_not_ready_has_the_status_of_get() -> None:
    assert TestClient(build(FACE)).head("/readyz").status_code == 503
