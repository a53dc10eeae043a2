"""What the OpenAPI schema promises, compared with what a service answers."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fer_service.analysis.options import Limits
from fer_service.http.openapi import BATCH_RESULT, PREDICTION
from fer_service.http.problems import PROBLEMS
from starlette.testclient import TestClient

from tests.fakes import FakeClassifier
from tests.service.conftest import HeldClassifier, Pixels, plain
from tests.service.http.conftest import FACE, FIRST, Serve, build
from tests.service.video.conftest import plain_frame, write_clip

GREEN = plain("lime", 80, 60)
SMALL = {"limits": Limits(max_pixels=20_000), "max_image_bytes": 10_000, "max_batch_images": 3}
TYPES: dict[str, Any] = {
    **{"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)},
    **{"integer": int, "number": (int, float)},
}
JSON = ("application/json", "application/problem+json")
LINES = "application/x-ndjson"


def faults(value: Any, schema: Any, root: Any, path: str = "") -> Iterator[str]:
    """What of a value contradicts a schema: the keywords of JSON Schema that ours use."""
    if "$ref" in schema:
        schema = root["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if kinds := schema.get("anyOf") or schema.get("oneOf"):
        yield from min((list(faults(value, each, root, path)) for each in kinds), key=len)
        return
    if value != schema.get("const", value):
        yield f"{path} is not {schema['const']}"
    kind = schema["type"]
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        yield f"{path} is no {kind}"
    elif kind == "object":
        yield from faults_of_names(value, schema, root, path)
    elif kind == "array":
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{path} has {len(value)} items"
        for index, each in enumerate(value):
            yield from faults(each, schema["items"], root, f"{path}.{index}")


def faults_of_names(value: Any, schema: Any, root: Any, path: str) -> Iterator[str]:
    yield from (f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value)
    for name, each in value.items():
        described = schema.get("properties", {}).get(name, schema.get("additionalProperties", False))
        if described is False:
            yield f"{path}.{name} is not described"
        elif described is not True:
            yield from faults(each, described, root, f"{path}.{name}")


def check(client: TestClient, method: str, path: str, url: str = "", **request: Any) -> tuple[int, str]:
    """Send a request and compare its answer with the schema of the path; return its status and code."""
    root: Any = client.app.openapi()  # type: ignore[attr-defined]
    answer = client.request(method, url or path, **request)
    described = root["paths"][path.partition("?")[0]][method.lower()]["responses"]
    assert str(answer.status_code) in described, answer.text
    response = described[str(answer.status_code)]
    media_type = answer.headers["content-type"].partition(";")[0]
    assert media_type in response["content"]
    body = answer.json() if media_type in JSON else answer.text
    for line in answer.text.splitlines() if media_type == LINES else ():
        assert list(faults(json.loads(line), response["content"][media_type]["schema"], root)) == []
    if media_type in JSON or media_type.startswith("text/"):
        assert list(faults(body, response["content"][media_type]["schema"], root)) == []
    sent = {name.lower() for name in answer.headers} - {"content-type", "content-length"}
    assert sent <= {name.lower() for name in response["headers"]}
    return answer.status_code, body.get("code", "") if isinstance(body, dict) else ""


def tensor_of(image: bytes) -> dict[str, Any]:
    data = [base64.b64encode(image).decode()]
    return {"inputs": [{"name": "images", "datatype": "BYTES", "shape": [1], "data": data}]}


def json_of(image: str) -> dict[str, Any]:
    return {"json": {"image": image}}


@pytest.mark.parametrize(
    ("request_of", "expected"),
    [
        ({"content": GREEN}, (200, "")),
        ({"files": {"file": GREEN}}, (200, "")),
        ({"content": GREEN, "params": {"session": "new"}}, (200, "")),
        ({"content": GREEN, "headers": {"Accept": "image/jpeg"}}, (200, "")),
        ({"content": GREEN, "headers": {"Accept": "image/png"}}, (200, "")),
        ({"content": b""}, (400, "missing_image")),
        ({"content": GREEN, "headers": {"Accept": "image/webp"}}, (406, "not_acceptable")),
        ({"content": bytes(10_001)}, (413, "image_too_large")),
        ({"content": plain("red", 200, 101)}, (413, "too_many_pixels")),
        ({"content": GREEN, "headers": {"Content-Type": "text/plain"}}, (415, "unsupported_media_type")),
        ({"content": GREEN, "headers": {"Content-Encoding": "gzip"}}, (415, "unsupported_coding")),
        ({"content": b"%PDF-1.4"}, (422, "undecodable_image")),
        ({"content": GREEN, "params": {"min_score": 2}}, (422, "invalid_parameter")),
        ({"json": {}}, (422, "invalid_parameter")),
        (json_of("https://example.org/a.jpg"), (422, "undecodable_image")),
    ],
)
def test_answers_to_one_image_are_as_described(
    serve: Serve, request_of: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert check(serve(FACE, **SMALL), "POST", "/predict", **request_of) == expected


@pytest.mark.parametrize(
    ("request_of", "expected"),
    [
        ({"files": [("file", GREEN), ("file", b"none")]}, (200, "")),
        ({"files": [("avatar", GREEN)]}, (400, "missing_image")),
        ({"files": [("file", bytes(300_000))]}, (413, "image_too_large")),
        ({"content": GREEN}, (415, "unsupported_media_type")),
        ({"files": [("file", GREEN)] * 4}, (422, "invalid_parameter")),
        ({"json": ["a"]}, (422, "invalid_parameter")),
    ],
)
def test_answers_to_several_images_are_as_described(
    serve: Serve, request_of: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert check(serve(FACE, **SMALL), "POST", "/predict/batch", **request_of) == expected


@pytest.mark.parametrize(
    ("request_of", "status"),
    [
        ({"json": tensor_of(GREEN)}, 200),
        ({"json": tensor_of(GREEN) | {"parameters": {"binary_data_output": True}}}, 200),
        ({"json": {}}, 400),
        ({"content": bytes(300_000)}, 413),
        ({"content": GREEN, "headers": {"Content-Encoding": "gzip"}}, 415),
    ],
)
def test_answers_to_tensors_are_as_described(serve: Serve, request_of: dict[str, Any], status: int) -> None:
    path = "/v2/models/{name}/infer"
    assert check(serve(FACE, **SMALL), "POST", path, url=path.format(name="emotion"), **request_of) == (status, "")


def test_answers_to_videos_are_as_described(serve: Serve, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [plain_frame(0, 220, 0)] * 3, [0, 0.1, 0.2]).read_bytes()
    client = serve(FACE, max_video_bytes=20_000)
    assert check(client, "POST", "/predict/video", content=clip) == (200, "")
    assert check(client, "POST", "/predict/video", content=b"%PDF-1.4") == (422, "undecodable_video")
    described = client.get("/openapi.json").json()["paths"]["/predict/video"]["post"]["responses"]["422"][
        "content"
    ]
    example = described["application/problem+json"]["examples"]["undecodable_video"]["value"]
    assert client.post("/predict/video", content=b"%PDF-1.4").json()["detail"] == example["detail"]
    assert check(client, "POST", "/predict/video", content=bytes(20_001)) == (413, "image_too_large")
    off = serve(FACE, max_videos=0)
    assert check(off, "POST", "/predict/video", content=clip) == (501, "videos_not_supported")


@pytest.mark.parametrize(
    "path", ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/{name}", "/v2/models/{name}/ready"]
)
def test_answers_to_gateways_are_as_described(client: TestClient, path: str) -> None:
    assert check(client, "GET", path, url=path.format(name="emotion")) == (200, "")
    if "{name}" in path:
        assert check(client, "GET", path, url=path.format(name="resnet")) == (404, "")


@pytest.mark.parametrize("accept", ["*/*", "application/openmetrics-text; version=1.0.0"])
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/model"])
def test_answers_to_operators_are_as_described(client: TestClient, path: str, accept: str) -> None:
    assert check(client, "GET", path, headers={"Accept": accept}) == (200, "")


@pytest.mark.parametrize(("method", "path"), [("POST", "/predict"), ("POST", "/predict/batch"), ("GET", "/model")])
def test_keys_are_as_described(serve: Serve, key_file: Path, method: str, path: str) -> None:
    client = serve(FACE, api_keys_file=key_file)
    assert check(client, method, path, files=[("file", GREEN)]) == (401, "unauthorized")
    for headers in ({"X-API-Key": FIRST}, {"Authorization": f"Bearer {FIRST}"}):
        assert check(client, method, path, files=[("file", GREEN)], headers=headers) == (200, "")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/predict"), ("POST", "/predict/batch"), ("GET", "/livez"), ("GET", "/readyz")]
)
def test_a_service_that_is_not_ready_answers_as_described(method: str, path: str) -> None:
    assert check(TestClient(build(FACE)), method, path, files=[("file", GREEN)]) == (503, "not_ready")


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_overload_deadlines_and_defects_are_as_described(serve: Serve, path: str) -> None:
    def broken(crop: Pixels) -> list[float]:
        if crop.any():
            raise ArithmeticError
        return [1, 0, 0]

    request = {"files": [("file", GREEN)]}
    classifier = HeldClassifier()
    client = serve(FACE, classifier=classifier, request_timeout=0.2)
    classifier.hold()
    assert check(client, "POST", path, **request) == (504, "deadline_exceeded")
    classifier.free.set()
    assert check(serve(FACE, classifier=FakeClassifier(broken)), "POST", path, **request) == (
        500,
        "internal_error",
    )
    assert check(serve(FACE, allowed_hosts="a.example"), "POST", path, **request) == (421, "misdirected_request")
    full = serve(FACE)
    admission = full.app.state.service.admission  # type: ignore[attr-defined]
    for number in range(admission._max_requests):
        admission._in_progress[str(number)] += 1
    assert check(full, "POST", path, **request) == (429, "overloaded")
    admission._in_progress.clear()


def operations(root: Any) -> Iterator[tuple[str, Any]]:
    for path, methods in root["paths"].items():
        yield from ((path, operation) for operation in methods.values())


def test_every_operation_has_a_summary_a_tag_and_an_id_of_its_own(client: TestClient) -> None:
    root: Any = client.get("/openapi.json").json()
    found = dict(operations(root))
    assert len({operation["operationId"] for operation in found.values()}) == len(found) == 14
    assert {tag for operation in found.values() for tag in operation["tags"]} == {
        tag["name"] for tag in root["tags"] if tag["description"]
    }
    for path, operation in found.items():
        assert operation["summary"].lower() != re.sub(r"\W+", " ", path).strip()


def test_every_example_is_an_answer_of_its_schema(client: TestClient) -> None:
    root: Any = client.get("/openapi.json").json()
    for path, operation in operations(root):
        for status, response in operation["responses"].items():
            for media_type, content in response["content"].items():
                examples = [each["value"] for each in content.get("examples", {}).values()]
                examples += [content["example"]] if "example" in content else []
                assert examples or media_type not in JSON, (path, status)
                if media_type == LINES:
                    examples = [json.loads(line) for text in examples for line in text.splitlines()]
                for example in examples:
                    assert list(faults(example, content["schema"], root)) == []
                    if media_type == "application/problem+json":
                        kind = next(kind for kind in PROBLEMS.values() if kind.code == example["code"])
                        assert (example["status"], example["title"]) == (kind.status, kind.title)
                        assert kind.status == int(status)
                for code in content.get("examples", {}):
                    assert next(kind.status for kind in PROBLEMS.values() if kind.code == code) == int(status)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return value


def test_the_examples_have_the_names_of_real_answers(client: TestClient) -> None:
    def names(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: names(each) for name, each in value.items() if name != "probabilities"}
        return [names(each) for each in value] if isinstance(value, list) else type(value)

    assert names(client.post("/predict", content=GREEN).json()) == names(PREDICTION)
    batch = client.post(
        "/predict/batch", files=[("file", ("a", GREEN)), ("file", ("notes.txt", b"notes\n"))]
    ).json()
    assert names(batch) == names(BATCH_RESULT)
    assert batch["results"][1] == BATCH_RESULT["results"][1]
    root: Any = client.get("/openapi.json").json()
    card = root["paths"]["/model"]["get"]["responses"]["200"]["content"]["application/json"]["example"]
    # FastAPI leaves nulls out of its schema.
    assert without_nulls(client.get("/model").json()) == card


@pytest.mark.parametrize(
    ("request_of", "status"),
    [
        ({"content": b""}, "400"),
        ({"content": GREEN, "headers": {"Accept": "image/webp"}}, "406"),
        ({"content": GREEN, "headers": {"Content-Type": "text/plain"}}, "415"),
        ({"content": GREEN, "headers": {"Content-Encoding": "gzip"}}, "415"),
        ({"content": b"%PDF-1.4"}, "422"),
        ({"content": GREEN, "params": {"min_score": 2}}, "422"),
    ],
)
def test_the_examples_of_errors_are_real_answers(
    client: TestClient, request_of: dict[str, Any], status: str
) -> None:
    root: Any = client.get("/openapi.json").json()
    content = root["paths"]["/predict"]["post"]["responses"][status]["content"]["application/problem+json"]
    answer = client.post("/predict", **request_of).json()
    assert answer == content["examples"][answer["code"]]["value"]


def test_a_point_is_a_pair_of_integers(client: TestClient) -> None:
    root: Any = client.get("/openapi.json").json()
    for point in root["components"]["schemas"]["Landmarks"]["properties"].values():
        assert (point["type"], point["items"]) == ("array", {"type": "integer"})
        assert (point["minItems"], point["maxItems"]) == (2, 2)
        assert all(type(number) is int for example in point["examples"] for number in example)


def test_the_schema_is_made_without_docstrings() -> None:
    program = "from fer_service.http.routes import predict; print(predict.__doc__)"
    done = subprocess.run([sys.executable, "-OO", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr
