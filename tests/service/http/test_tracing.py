import builtins
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fer_service.analysis.analyzer import Analyzer
from fer_service.contract.errors import SettingsError
from fer_service.contract.job import Job
from fer_service.contract.settings import load_settings
from fer_service.detection.detector import Face
from fer_service.http.app import create_app
from fer_service.observability.traces import open_traces
from numpy.typing import NDArray
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from starlette.testclient import TestClient

from tests.fakes import FakeClassifier, FakeDetector
from tests.service.conftest import plain
from tests.service.http.conftest import FACE

STAGES = ["queue", "decode", "detect", "crop", "infer"]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class BrokenForWide(FakeDetector):
    """Fails, in a way that nobody foresaw, where an image is wider than 64 pixels."""

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        if pixels.shape[1] > 64:
            raise ArithmeticError("broken")
        return super().detect(pixels, min_score)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def client_of(detector: FakeDetector, exporter: InMemorySpanExporter) -> TestClient:
    traces = TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(exporter))
    analyzer = Analyzer(detector, FakeClassifier())
    return TestClient(create_app(load_settings(threads=2), analyzer, traces))


@pytest.fixture
def client(exporter: InMemorySpanExporter) -> Iterator[TestClient]:
    with client_of(FakeDetector(FACE), exporter) as client:
        yield client


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def length(span: ReadableSpan) -> int:
    assert span.start_time
    assert span.end_time
    return span.end_time - span.start_time


def test_a_request_is_a_span_with_its_stages_beneath(client: TestClient, exporter: InMemorySpanExporter) -> None:
    client.post("/predict", content=plain("lime"), headers={"X-Request-ID": "the-id"})
    *stages, request = exporter.get_finished_spans()
    assert request.name == "POST /predict"
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
        "fer.request_id": "the-id",
        "fer.faces": 1,
    }
    assert [span.name for span in stages] == STAGES
    assert {span.parent and span.parent.span_id for span in stages} == {request.context.span_id}
    assert 0 < sum(map(length, stages)) <= length(request)
    for earlier, later in itertools.pairwise(stages):
        assert earlier.end_time == later.start_time


def test_a_batchs_images_have_stages_of_their_own(client: TestClient, exporter: InMemorySpanExporter) -> None:
    client.post("/predict/batch", files=[("file", plain("lime"))] * 3)
    (request,) = named(exporter, "POST /predict/batch")
    assert request.attributes
    assert request.attributes["fer.faces"] == 3
    assert [len(named(exporter, stage)) for stage in STAGES] == [3] * 5


def test_a_trace_continues_that_of_the_caller(client: TestClient, exporter: InMemorySpanExporter) -> None:
    client.get("/model", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    (request,) = exporter.get_finished_spans()
    assert request.parent
    assert (f"{request.context.trace_id:032x}", f"{request.parent.span_id:016x}") == (TRACE, PARENT)


def test_a_failure_is_marked_and_a_bad_image_is_not(exporter: InMemorySpanExporter) -> None:
    with client_of(BrokenForWide(FACE), exporter) as client:
        assert client.post("/predict", content=b"no image").status_code == 422
        assert client.post("/predict", content=plain("red", 65)).status_code == 500
    refused, failed = named(exporter, "POST /predict")
    assert refused.status.status_code is StatusCode.UNSET
    assert failed.status.status_code is StatusCode.ERROR


def test_probes_and_scrapes_are_no_spans(client: TestClient, exporter: InMemorySpanExporter) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/v2/health/live", "/v2/models/emotion/ready"):
        client.get(path)
    assert exporter.get_finished_spans() == ()


def test_without_an_endpoint_there_is_no_provider() -> None:
    assert open_traces({}) is None
    assert open_traces({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}) is None


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_with_an_endpoint_there_is_a_provider_with_the_name_of_the_service(variable: str) -> None:
    provider = open_traces({variable: "http://127.0.0.1:9"})
    assert provider
    assert provider.resource.attributes["service.name"] == "fer-service"
    provider.shutdown()


def test_an_endpoint_without_the_libraries_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        SettingsError,
        match=r"OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is missing; install opentelemetry-sdk",
    ):
        open_traces({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})


def test_opentelemetry_is_not_imported_without_an_endpoint() -> None:
    loaded = "[name for name in sys.modules if name.startswith('opentelemetry.sdk')]"
    code = f"import sys, fer_service.http.app; print({loaded})"
    root = Path(__file__).parents[3]
    ended = subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True)
    assert ended.stdout.strip() == "[]"
