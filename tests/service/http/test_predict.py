import asyncio
import re
from typing import Any

import pytest
from fer_service.analysis.options import Limits
from fer_service.contract.boxes import Box
from fer_service.detection.detector import Face
from starlette.testclient import TestClient

from tests.fakes import FakeClassifier
from tests.service.conftest import SECONDS, HeldClassifier, Pixels, plain
from tests.service.http.conftest import FACE, Serve, build, call, running

GREEN = plain("lime", 80, 60)


def code(response: Any) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert set(body) == {"type", "title", "status", "detail", "code"}
    assert body["status"] == response.status_code
    return body["status"], body["code"]


def test_the_answer_is_the_published_json(client: TestClient) -> None:
    response = client.post("/predict", files={"file": ("a.jpg", GREEN, "image/jpeg")})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    (face,) = body["faces"]
    assert (body["image"], body["model"]) == ({"width": 80, "height": 60}, {"name": "tiny", "version": "1.2.3"})
    assert face["box"] == {"x": 10, "y": 10, "width": 40, "height": 40}
    assert (face["score"], face["emotion"], face["uncertain"]) == (0.9, "happy", False)
    assert face["landmarks"]["right_eye"] == [20, 25]
    assert list(face["probabilities"]) == ["angry", "happy", "neutral"]
    assert face["confidence"] == face["probabilities"]["happy"]


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/octet-stream", None])
def test_raw_bytes_are_answered_like_a_form(client: TestClient, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    raw = client.post("/predict", content=GREEN, headers=headers)
    form = client.post("/predict", files={"file": GREEN})
    assert raw.status_code == form.status_code == 200
    assert raw.json() == form.json()


def test_the_time_of_every_stage_is_told(client: TestClient) -> None:
    timing = client.post("/predict", content=GREEN).headers["server-timing"]
    stages = re.findall(r"(\w+);dur=(\d+\.\d\d)(?:, |$)", timing)
    assert [stage for stage, _ in stages] == ["queue", "decode", "detect", "crop", "infer", "total"]
    assert float(stages[-1][1]) >= max(float(duration) for _, duration in stages[:-1])


@pytest.mark.parametrize(("accept", "begins"), [("image/jpeg", b"\xff\xd8\xff"), ("image/png", b"\x89PNG")])
def test_the_image_itself_can_be_the_answer(client: TestClient, accept: str, begins: bytes) -> None:
    response = client.post("/predict", content=GREEN, headers={"Accept": accept})
    assert (response.status_code, response.headers["content-type"]) == (200, accept)
    assert response.content.startswith(begins)
    assert response.headers["vary"] == "Accept"
    assert "draw;dur=" in response.headers["server-timing"]


def test_an_answer_that_nobody_can_give_is_refused_before_the_body_is_read() -> None:
    async def scenario() -> None:
        async with running(build(FACE)) as app:
            answer = await call(app, "/predict", headers={"Accept": "image/webp"})
            assert (answer.status, answer.code) == (406, "not_acceptable")

    asyncio.run(scenario())


def test_errors_stay_problems_where_an_image_was_asked_for(client: TestClient) -> None:
    response = client.post("/predict", content=b"no image", headers={"Accept": "image/png"})
    assert code(response) == (422, "undecodable_image")


def test_no_face_is_an_answer(serve: Serve) -> None:
    response = serve().post("/predict", content=GREEN)
    assert (response.status_code, response.json()["faces"]) == (200, [])


def test_a_request_may_choose(serve: Serve) -> None:
    client = serve(Face(Box(0, 0, 9, 9), 0.9), Face(Box(20, 20, 30, 30), 0.7), Face(Box(0, 0, 5, 5), 0.3))

    def scores(query: str) -> list[float | None]:
        return [face["score"] for face in client.post(f"/predict?{query}", content=GREEN).json()["faces"]]

    assert scores("") == [0.7, 0.9]
    assert scores("max_faces=1") == [0.7]
    assert scores("min_score=0") == [0.7, 0.9, 0.3]
    assert scores("min_score=0.8") == [0.9]
    assert scores("detect=false") == [None]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("max_faces=0", "max_faces"),
        ("max_faces=101", "max_faces"),
        ("max_faces=many", "max_faces"),
        ("max_faces=1.5", "max_faces"),
        ("min_score=-0.1", "min_score"),
        ("min_score=1.1", "min_score"),
        ("min_score=nan", "min_score"),
        ("detect=perhaps", "detect"),
        ("threshold=0.5", "threshold"),
    ],
)
def test_a_parameter_that_is_not_valid_is_named(client: TestClient, query: str, name: str) -> None:
    response = client.post(f"/predict?{query}", content=GREEN)
    assert code(response) == (422, "invalid_parameter")
    assert name in response.json()["detail"]


def test_a_parameter_in_the_form_is_refused_instead_of_ignored(client: TestClient) -> None:
    answer = client.post("/predict", files={"file": GREEN}, data={"max_faces": "1"})
    assert code(answer) == (422, "invalid_parameter")
    assert "not a field of the form: send it in the query of the URL, ?max_faces=…" in answer.json()["detail"]
    assert "the URL, ?max_faces=…" in client.post("/predict", files={"file": GREEN}, data={"maxFaces": "1"}).text
    assert "the URL, ?session=…" in client.post("/predict", files={"file": GREEN}, data={"session": "new"}).text
    other = client.post("/predict", files={"file": GREEN}, data={"csrf_token": "a client's own"})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (b"", {}, (400, "missing_image")),
        (b"", {"Content-Type": "image/jpeg"}, (400, "missing_image")),
        (GREEN, {"Content-Type": "multipart/form-data"}, (400, "invalid_request")),
        (GREEN, {"Content-Type": "multipart/form-data; boundary=x"}, (400, "invalid_request")),
        (bytes(10_001), {}, (413, "image_too_large")),
        (plain("red", 200, 101), {}, (413, "too_many_pixels")),
        (GREEN, {"Content-Type": "text/plain"}, (415, "unsupported_media_type")),
        (b"no image", {}, (422, "undecodable_image")),
        (GREEN[: len(GREEN) // 2], {}, (422, "undecodable_image")),
    ],
)
def test_what_cannot_be_answered_has_a_status_and_a_code(
    serve: Serve, content: bytes, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    client = serve(FACE, limits=Limits(max_pixels=20_000), max_image_bytes=10_000)
    assert code(client.post("/predict", content=content, headers=headers)) == expected


def test_two_images_are_one_too_many(client: TestClient) -> None:
    response = client.post("/predict", files=[("file", GREEN), ("file", GREEN)])
    assert code(response) == (422, "invalid_parameter")
    assert "/predict/batch" in response.json()["detail"]


def test_a_body_without_a_length_is_read_no_further_than_the_limit() -> None:
    async def scenario() -> None:
        async with running(build(FACE, max_image_bytes=1000)) as app:
            answer = await call(app, "/predict", *[bytes(400)] * 1000)
            assert (answer.status, answer.code) == (413, "image_too_large")

    asyncio.run(scenario())


def test_what_nobody_foresaw_is_an_internal_error_without_details(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(crop: Pixels) -> list[float]:
        if crop.any():
            raise ArithmeticError("secret detail")
        return [1, 0, 0]

    client = serve(FACE, classifier=FakeClassifier(broken))
    response = client.post("/predict", content=GREEN)
    assert code(response) == (500, "internal_error")
    assert "secret" not in response.text
    assert "secret detail" in caplog.text
    assert client.get("/livez").status_code == 200


def test_before_the_start_nothing_is_ready() -> None:
    client = TestClient(build(FACE))
    for response in (
        client.post("/predict", content=GREEN),
        client.post("/predict/batch", files=[("file", GREEN)]),
        client.get("/readyz"),
        client.get("/livez"),
    ):
        assert code(response) == (503, "not_ready")


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_a_request_whose_time_is_over_is_told_so(serve: Serve, path: str) -> None:
    classifier = HeldClassifier()
    client = serve(FACE, classifier=classifier, request_timeout=0.2)
    classifier.hold()
    response = client.post(path, files=[("file", GREEN)])
    classifier.free.set()
    assert code(response) == (504, "deadline_exceeded")
    assert "FER_REQUEST_TIMEOUT" in response.json()["detail"]


def test_a_request_that_the_server_gives_up_ends_as_given_up_and_not_as_a_client_that_left() -> None:
    async def scenario() -> None:
        classifier = HeldClassifier()
        app = build(FACE, classifier=classifier)
        async with running(app):
            classifier.hold()
            request = asyncio.create_task(call(app, "/predict", GREEN))
            await classifier.busy()
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            classifier.free.set()

    asyncio.run(scenario())


def test_a_client_that_goes_away_does_not_keep_the_network_busy() -> None:
    async def scenario() -> None:
        classifier = HeldClassifier()
        app = build(FACE, classifier=classifier, max_batch=1)

        async def queued() -> None:
            batched = app.state.service.executor.analyzer.classifier
            async with asyncio.timeout(SECONDS):
                while batched.runs.depth != 1:
                    await asyncio.sleep(0.002)

        async with running(app):
            classifier.batches.clear()
            classifier.hold()
            first = asyncio.create_task(call(app, "/predict", GREEN))
            await classifier.busy()
            gone = await call(app, "/predict", GREEN, then=queued)
            assert gone.status == 499
            classifier.free.set()
            assert (await first).status == 200
            assert (await call(app, "/predict", GREEN)).status == 200
        assert classifier.batches == [1, 1]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/predict", (405, "method_not_allowed")),
        ("POST", "/predictions", (404, "not_found")),
        ("GET", "/nothing", (404, "not_found")),
    ],
)
def test_routes_that_are_none_are_problems_too(
    client: TestClient, method: str, path: str, expected: tuple[int, str]
) -> None:
    response = client.request(method, path)
    assert code(response) == expected
    assert path in response.json()["detail"]
    assert response.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/livez", "/nowhere"])
def test_every_answer_carries_the_requests_id(client: TestClient, path: str) -> None:
    response = client.post(path, content=b"", headers={"X-Request-ID": "the-id"})
    assert response.headers["x-request-id"] == "the-id"
