import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.service.http.conftest import FACE, Serve

PROBLEMS = {"400", "401", "408", "413", "414", "415", "421", "422", "429", "431", "500", "503", "504"}


@pytest.fixture
def paths(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()["paths"]
    return found


def test_the_page_has_no_outside_address_and_brings_its_parts_itself(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page.text)
    assert len(addresses) >= 2
    for address in addresses:
        assert not re.match(r"(\w+:|/)", address)  # relative, for a service below a path
        answer = client.get(f"/{address}")
        assert answer.status_code == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"https?://", page.text)


def test_the_page_runs_only_scripts_of_its_own_and_is_shown_in_no_frame(client: TestClient) -> None:
    for answer in (client.get("/docs"), client.head("/docs")):
        policy = dict(
            entry.strip().split(" ", 1) for entry in answer.headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert answer.headers["x-frame-options"] == "DENY"
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|<style", client.get("/docs").text)


def test_all_routes_are_described(paths: dict[str, Any]) -> None:
    inference = {"/v2", "/v2/health/live", "/v2/health/ready"} | {
        f"/v2/models/{{name}}{end}" for end in ("", "/ready", "/infer")
    }
    assert (
        set(paths)
        == {"/predict", "/predict/batch", "/predict/video", "/analyze", "/model", "/livez", "/readyz", "/metrics"}
        | inference
    )
    operations = [operation for path in paths.values() for operation in path.values()]
    assert all(operation["description"] for operation in operations)


def test_the_body_is_a_form_or_the_bytes(paths: dict[str, Any]) -> None:
    content = paths["/predict"]["post"]["requestBody"]["content"]
    assert set(content) == {"multipart/form-data", "application/json", "image/*", "application/octet-stream"}
    assert content["application/json"]["schema"]["required"] == ["image"]
    form = content["multipart/form-data"]["schema"]
    assert form["required"] == ["file"]
    assert form["properties"]["file"] == {"type": "string", "format": "binary"}


def test_a_batch_is_a_form_with_several_files(paths: dict[str, Any]) -> None:
    content = paths["/predict/batch"]["post"]["requestBody"]["content"]
    assert set(content) == {"multipart/form-data", "application/json"}
    assert content["multipart/form-data"]["schema"]["properties"]["file"]["type"] == "array"


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_the_example_of_a_body_can_be_sent(serve: Serve, paths: dict[str, Any], path: str) -> None:
    example = paths[path]["post"]["requestBody"]["content"]["application/json"]["example"]
    answer = serve(FACE).post(path, json=example)
    assert answer.status_code == 200
    assert "error" not in answer.text


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_parameters_and_problems_are_described(paths: dict[str, Any], path: str) -> None:
    operation = paths[path]["post"]
    own = {"boxes", "draw", "session", "smooth"} if path == "/predict" else set()
    names = {parameter["name"] for parameter in operation["parameters"]}
    assert names == {"detect", "max_faces", "min_score"} | own
    assert all(parameter["description"] for parameter in operation["parameters"])
    assert set(operation["responses"]) - {"406"} == PROBLEMS | {"200"}


def test_the_image_as_an_answer_is_described(paths: dict[str, Any]) -> None:
    responses = paths["/predict"]["post"]["responses"]
    assert set(responses["200"]["content"]) == {"application/json", "image/jpeg", "image/png"}
    assert "406" in responses
