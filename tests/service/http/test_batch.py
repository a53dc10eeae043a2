import asyncio
from typing import Any

import pytest
from fer_service.analysis.analyzer import Analysis
from fer_service.analysis.options import Options
from fer_service.contract.job import Job
from fer_service.http.image_batch import analyze_batch
from fer_service.http.multipart import Upload
from fer_service.http.state import AppState
from starlette.requests import Request
from starlette.testclient import TestClient

from tests.service.conftest import plain
from tests.service.http.conftest import FACE, Serve, build

RED, GREEN, BLUE = (plain(colour, 80, 60) for colour in ("red", "lime", "blue"))


def post(client: TestClient, *images: tuple[str, bytes], query: str = "") -> Any:
    return client.post(f"/predict/batch{query}", files=[("file", image) for image in images])


def test_results_come_in_order_and_bad_images_fail_alone(serve: Serve) -> None:
    client = serve(FACE, max_image_bytes=5_000)
    response = post(
        client,
        ("a.jpg", RED),
        ("b.txt", b"no image"),
        ("c.jpg", GREEN),
        ("d", b""),
        ("e", bytes(5_001)),
        ("a.jpg", BLUE),
    )
    assert response.status_code == 200
    results = response.json()["results"]
    assert [result["name"] for result in results] == ["a.jpg", "b.txt", "c.jpg", "d", "e", "a.jpg"]
    assert [
        result["faces"][0]["emotion"] if "faces" in result else result["error"]["code"] for result in results
    ] == [
        "angry",
        "undecodable_image",
        "happy",
        "missing_image",
        "image_too_large",
        "neutral",
    ]


def test_an_unexpected_error_ends_the_work_for_all_images() -> None:
    ended: list[bytes] = []

    async def run(data: bytes, options: Options, job: Job) -> Analysis:
        if data == b"bad":
            await asyncio.sleep(0)
            raise RuntimeError("a defect")
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(data)
        raise AssertionError

    state: AppState = build().state.service
    uploads = [Upload(name, name.encode()) for name in ("a", "bad", "b")]
    state.executor.run = run  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="a defect"):
        asyncio.run(analyze_batch(Request({"type": "http"}), uploads, Options(), Job(), state))
    assert sorted(ended) == [b"a", b"b"]


def test_a_result_is_a_prediction_with_a_name_and_an_error_is_a_problem(client: TestClient) -> None:
    answer = post(client, ("a.jpg", RED), ("b.jpg", b"x")).json()
    good, bad = answer["results"]
    alone = client.post("/predict", content=RED).json()
    assert alone.pop("summary") == answer["summary"] == {"faces": 1, "emotions": {"angry": 1}, "uncertain": 0.0}
    assert good == {"name": "a.jpg"} | alone
    assert set(bad) == {"name", "error"}
    assert set(bad["error"]) == {"type", "title", "status", "detail", "code"}


def test_parameters_count_for_every_image(client: TestClient) -> None:
    results = post(client, ("a", RED), ("b", GREEN), query="?detect=false").json()["results"]
    assert [result["faces"][0]["box"]["width"] for result in results] == [80, 80]


def test_the_stages_of_all_images_are_told(client: TestClient) -> None:
    timing = post(client, ("a", RED), ("b", GREEN)).headers["server-timing"]
    assert [part.split(";")[0] for part in timing.split(", ")] == [
        "queue",
        "decode",
        "detect",
        "crop",
        "infer",
        "total",
    ]


@pytest.mark.parametrize(
    ("request_of", "expected"),
    [
        ({"files": [("file", RED)] * 4}, (422, "invalid_parameter")),
        ({"files": [("avatar", RED)]}, (400, "missing_image")),
        ({"content": RED, "headers": {"Content-Type": "image/jpeg"}}, (415, "unsupported_media_type")),
        ({"content": RED}, (415, "unsupported_media_type")),
        ({"files": [("file", bytes(300_000))]}, (413, "image_too_large")),
        ({"files": [("file", RED)], "params": {"max_faces": 0}}, (422, "invalid_parameter")),
    ],
)
def test_a_batch_that_cannot_be_read_is_a_problem(
    serve: Serve, request_of: dict[str, Any], expected: tuple[int, str]
) -> None:
    client = serve(FACE, max_batch_images=3, max_image_bytes=5_000)
    response = client.post("/predict/batch", **request_of)
    assert (response.status_code, response.json()["code"]) == expected


def test_a_parameter_beyond_the_services_limit_fails_every_image(client: TestClient) -> None:
    results = post(client, ("a", RED), ("b", GREEN), query="?max_faces=101").json()["results"]
    assert [result["error"]["code"] for result in results] == ["invalid_parameter"] * 2


def test_no_body_is_a_missing_image(client: TestClient) -> None:
    answer = client.post("/predict/batch")
    assert (answer.status_code, answer.json()["code"]) == (400, "missing_image")
    assert "the body is empty; send the images as multipart/form-data" in answer.json()["detail"]
