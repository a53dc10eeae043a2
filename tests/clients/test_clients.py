"""Clients that stock generators make from the OpenAPI schema, and KServe's: `make check-clients`."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.server import Server

HERE = Path(__file__).parent
LABELS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


@pytest.fixture
def schema(server: Server, tmp_path: Path) -> Path:
    file = tmp_path / "openapi.json"
    file.write_bytes(server.client.get("/openapi.json").content)
    return file


def run(*command: str | Path, folder: Path) -> str:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; `make check-clients` installs it")
    return found


def arguments(server: Server, image: bytes, folder: Path) -> list[str]:
    photo = folder / "photo.jpg"
    photo.write_bytes(image)
    return [server.url, str(photo)]


def check(found: dict[str, Any]) -> None:
    assert found["predict"] == ["happy"] * 3
    assert set(found["box"]) == {"x", "y", "width", "height"}
    assert sorted(found["landmarks"]) == ["left_eye", "mouth_left", "mouth_right", "nose", "right_eye"]
    assert sorted(found["probabilities"]) == sorted(LABELS)
    assert found["batch"] == [1, 1]
    assert found["model"] == LABELS
    assert found["health"] == ["alive", "ready"]
    assert found["metrics"]


def test_a_generated_python_client_calls_every_route_and_reads_errors(
    server: Server, schema: Path, astronaut_jpeg: bytes, tmp_path: Path
) -> None:
    generator = program("openapi-python-client")
    run(generator, "generate", "--path", schema, "--output-path", tmp_path / "client", folder=tmp_path)
    shutil.copy(HERE / "calls.py", tmp_path / "client")
    python = Path(generator).with_name("python")
    values = arguments(server, astronaut_jpeg, tmp_path)
    found = json.loads(run(python, tmp_path / "client" / "calls.py", *values, folder=tmp_path / "client"))
    check(found)
    assert found["errors"] == ["undecodable_image", "undecodable_image", "invalid_parameter", "invalid_parameter"]
    assert found["statuses"] == [422, 422, 422]


def test_the_client_of_kserve_sends_images_and_crops(
    server: Server, astronaut_jpeg: bytes, tmp_path: Path
) -> None:
    python = Path(program("openapi-python-client")).with_name("python")
    values = arguments(server, astronaut_jpeg, tmp_path)
    found = json.loads(run(python, HERE / "kserve_calls.py", *values, folder=tmp_path))
    assert found["health"] == [True, True, True]
    assert found["shapes"] == [[3, 7], [3, 7]]
    assert found["answer"] == server.client.post("/predict", content=astronaut_jpeg).json()


def test_generated_typescript_types_fit_every_answer(
    server: Server, schema: Path, astronaut_jpeg: bytes, tmp_path: Path
) -> None:
    generator, compiler, node = program("openapi-typescript"), program("tsc"), program("node")
    run(generator, schema, "-o", tmp_path / "api.d.ts", folder=tmp_path)
    shutil.copy(HERE / "calls.ts", tmp_path)
    options = ["--strict", "--noUncheckedIndexedAccess", "--target", "es2022", "--module", "commonjs"]
    run(compiler, *options, "--lib", "es2022,dom,dom.iterable", "calls.ts", folder=tmp_path)
    found = json.loads(run(node, "calls.js", *arguments(server, astronaut_jpeg, tmp_path), folder=tmp_path))
    check(found)
    assert (found["errors"], found["statuses"]) == (["undecodable_image"], [422])
