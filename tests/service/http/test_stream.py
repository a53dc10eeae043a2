import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fer_service.analysis.options import Limits
from fer_service.contract.boxes import Box
from fer_service.detection.detector import Face
from fer_service.streaming.limits import BAD_FRAMES
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession

from tests.fakes import FakeClassifier
from tests.service.conftest import SECONDS, HeldClassifier, Pixels, plain
from tests.service.http.conftest import FACE, Serve, build, http_scope, running

GREEN, RED, BLUE = plain("lime", 80, 60), plain("red", 80, 60), plain("blue", 80, 60)


def answered(stream: WebSocketTestSession, frame: bytes) -> dict[str, Any]:
    stream.send_bytes(frame)
    return received(stream)


def received(stream: WebSocketTestSession) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(stream.receive_text())
    return message


@contextmanager
def refused(client: TestClient, path: str = "/stream", **headers: str) -> Iterator[dict[str, Any]]:
    problem: dict[str, Any] = {}
    with (
        pytest.raises(WebSocketDenialResponse) as denial,
        client.websocket_connect(path, headers={name.replace("_", "-"): value for name, value in headers.items()}),
    ):
        pass
    problem.update(denial.value.json())
    assert denial.value.headers["content-type"] == "application/problem+json"
    assert denial.value.status_code == problem["status"]
    yield problem


def metric(client: TestClient, series: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(series)).split()[-1])


def wait_until(true: Callable[[], bool]) -> None:
    async def poll() -> None:
        async with asyncio.timeout(SECONDS):
            while not true():
                await asyncio.sleep(0.002)

    asyncio.run(poll())


def test_a_frame_is_answered_with_its_number_time_and_the_faces_ids(client: TestClient) -> None:
    with client.websocket_connect("/stream?smooth=0") as stream:
        first, second = answered(stream, GREEN), answered(stream, RED)
    assert [first["frame"], second["frame"]] == [1, 2]
    assert 0 <= first["time"] < second["time"] < SECONDS
    assert first["image"] == {"width": 80, "height": 60}
    assert first["model"] == {"name": "tiny", "version": "1.2.3"}
    (face,) = first["faces"]
    assert (face["id"], face["emotion"], face["score"]) == (1, "happy", 0.9)
    assert face["box"] == {"x": 10, "y": 10, "width": 40, "height": 40}
    (face,) = second["faces"]
    assert (face["id"], face["emotion"]) == (1, "angry")
    assert face["probabilities"] == face["raw_probabilities"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_request_that_is_no_handshake_is_told_what_is_missing(client: TestClient, method: str) -> None:
    answer = client.request(method, "/stream")
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert client.post("/stream").headers["allow"] == "GET, HEAD"
    if method == "GET":
        assert answer.json()["code"] == "upgrade_required"
        assert "the request needs the header Upgrade: websocket" in answer.json()["detail"]


def test_a_face_keeps_its_id_when_frames_come_seldom(client: TestClient) -> None:
    with client.websocket_connect("/stream") as stream:
        first = answered(stream, GREEN)
        time.sleep(1.2)
        second = answered(stream, GREEN)
    assert second["time"] - first["time"] > 1.1
    assert second["faces"][0]["id"] == first["faces"][0]["id"]


def test_probabilities_are_smoothed_unless_it_is_turned_off(client: TestClient) -> None:
    with client.websocket_connect("/stream?smooth=60") as stream:
        answered(stream, GREEN)
        (face,) = answered(stream, RED)["faces"]
    assert face["emotion"] == "happy"
    assert face["raw_probabilities"]["angry"] > 0.9
    assert face["probabilities"]["happy"] > 0.9


def test_every_stream_counts_for_itself(client: TestClient) -> None:
    with client.websocket_connect("/stream") as one, client.websocket_connect("/stream") as other:
        assert [answered(one, GREEN)["frame"] for _ in range(2)] == [1, 2]
        result = answered(other, RED)
        assert (result["frame"], result["faces"][0]["id"], result["faces"][0]["emotion"]) == (1, 1, "angry")


def test_while_a_frame_is_worked_on_the_newest_replaces_the_others(serve: Serve) -> None:
    classifier = HeldClassifier()
    client = serve(FACE, classifier=classifier)
    with client.websocket_connect("/stream?smooth=0") as stream:
        classifier.hold()
        stream.send_bytes(GREEN)
        asyncio.run(classifier.busy())
        for frame in (RED, GREEN, RED, BLUE):
            stream.send_bytes(frame)
        wait_until(lambda: metric(client, 'fer_stream_frames_total{outcome="dropped"}') == 3)
        classifier.free.set()
        first, second = received(stream), received(stream)
    assert (first["frame"], first["faces"][0]["emotion"]) == (1, "happy")
    assert (second["frame"], second["faces"][0]["emotion"]) == (5, "neutral")
    assert metric(client, 'fer_stream_frames_total{outcome="answered"}') == 2


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b"no image", "undecodable_image"),
        (b"", "undecodable_image"),
        (GREEN[: len(GREEN) // 2], "undecodable_image"),
        (bytes(10_001), "image_too_large"),
        (plain("red", 200, 101), "too_many_pixels"),
    ],
)
def test_a_bad_frame_gets_an_error_and_the_stream_goes_on(serve: Serve, frame: bytes, expected: str) -> None:
    client = serve(FACE, limits=Limits(max_pixels=20_000), max_image_bytes=10_000)
    with client.websocket_connect("/stream") as stream:
        result = answered(stream, frame)
        assert (result["frame"], result["error"]["code"]) == (1, expected)
        assert set(result["error"]) == {"type", "title", "status", "detail", "code"}
        assert answered(stream, GREEN)["faces"][0]["emotion"] == "happy"
    assert metric(client, 'fer_stream_frames_total{outcome="failed"}') == 1


def test_text_is_no_frame(client: TestClient) -> None:
    with client.websocket_connect("/stream") as stream:
        stream.send_text("hello")
        result = received(stream)
        assert result["error"]["code"] == "invalid_parameter"
        assert "binary" in result["error"]["detail"]
        assert answered(stream, GREEN)["frame"] == 2


@pytest.mark.parametrize("bad", [b"no image", "text"])
def test_a_stream_of_bad_frames_is_closed_with_a_reason(client: TestClient, bad: bytes | str) -> None:
    with client.websocket_connect("/stream") as stream:
        for _ in range(BAD_FRAMES):
            stream.send({"type": "websocket.receive", "bytes" if isinstance(bad, bytes) else "text": bad})
            message = stream.receive()
            if message["type"] == "websocket.close":
                break
        else:
            message = stream.receive()
        assert (message["code"], message["reason"]) == (1008, "100 frames in a row that are not images")
    assert metric(client, 'fer_rejected_total{reason="frames"}') == 1
    assert metric(client, "fer_streams") == 0


def test_a_good_frame_forgives_bad_ones(client: TestClient) -> None:
    with client.websocket_connect("/stream") as stream:
        for _ in range(3):
            for _ in range(BAD_FRAMES // 2):
                assert answered(stream, b"no image")["error"]
            assert answered(stream, GREEN)["faces"]


def test_what_nobody_foresaw_costs_one_frame(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def broken(crop: Pixels) -> list[float]:
        if crop[..., 0].min() > 200:
            raise ArithmeticError("secret detail")
        return [0, 1, 0]

    client = serve(FACE, classifier=FakeClassifier(broken))
    with client.websocket_connect("/stream") as stream:
        result = answered(stream, RED)
        assert result["error"]["code"] == "internal_error"
        assert "secret" not in json.dumps(result)
        assert answered(stream, GREEN)["faces"][0]["emotion"] == "happy"
    assert "secret detail" in caplog.text


def test_a_frame_takes_a_place_and_others_wait_for_it(serve: Serve) -> None:
    classifier = HeldClassifier()
    client = serve(FACE, classifier=classifier, max_in_flight=1)
    with client.websocket_connect("/stream") as stream, client.websocket_connect("/stream") as other:
        classifier.hold()
        stream.send_bytes(GREEN)
        asyncio.run(classifier.busy())
        assert client.post("/predict", content=GREEN).status_code == 429
        other.send_bytes(GREEN)
        classifier.free.set()
        assert received(stream)["faces"]
        assert received(other)["faces"]
        assert metric(client, "fer_requests_in_flight") == 0


def test_a_client_that_leaves_gives_its_place_back(serve: Serve) -> None:
    classifier = HeldClassifier()
    client = serve(FACE, classifier=classifier, max_streams=1, max_in_flight=2)
    with client.websocket_connect("/stream") as stream:
        classifier.hold()
        stream.send_bytes(GREEN)
        asyncio.run(classifier.busy())
        stream.send_bytes(GREEN)
        assert metric(client, "fer_streams") == 1
        with refused(client) as problem:
            assert problem["code"] == "overloaded"
    classifier.free.set()
    wait_until(lambda: metric(client, "fer_streams") == 0)
    assert metric(client, "fer_requests_in_flight") == 0
    with client.websocket_connect("/stream") as stream:
        assert answered(stream, GREEN)["frame"] == 1


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "http://testserver:81", "null", "testserver"])
def test_a_page_of_another_origin_is_refused(client: TestClient, origin: str) -> None:
    with refused(client, origin=origin) as problem:
        assert (problem["status"], problem["code"]) == (403, "forbidden")
        assert origin in problem["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://testserver"},
        {"origin": "https://fer.example", "host": "fer.example"},
        {"origin": "https://fer.example:8443", "x-forwarded-host": "fer.example:8443"},
    ],
)
def test_the_services_own_page_and_programs_may_stream(client: TestClient, headers: dict[str, str]) -> None:
    with client.websocket_connect("/stream", headers=headers) as stream:
        assert answered(stream, GREEN)["frame"] == 1


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("smooth=-1", "smooth"),
        ("smooth=nan", "smooth"),
        ("smooth=61", "smooth"),
        ("speed=3", "speed"),
        ("min_score=2", "min_score"),
    ],
)
def test_a_parameter_that_is_not_valid_is_named(client: TestClient, query: str, name: str) -> None:
    with refused(client, f"/stream?{query}") as problem:
        assert problem["code"] == "invalid_parameter"
        assert name in problem["detail"]


def test_a_stream_may_choose_like_a_request(serve: Serve) -> None:
    client = serve(Face(Box(0, 0, 9, 9), 0.9), Face(Box(20, 20, 30, 30), 0.7))
    with client.websocket_connect("/stream?min_score=0.8") as stream:
        assert len(answered(stream, GREEN)["faces"]) == 1


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        ([], None),
        (["fer.v1"], "fer.v1"),
        (["fer.key.abc", "fer.v1"], "fer.v1"),
        (["fer.key.abc"], None),
        (["x"], None),
    ],
)
def test_of_the_subprotocols_only_the_streams_own_is_answered(
    client: TestClient, offered: list[str], answered: str | None
) -> None:
    with client.websocket_connect("/stream", subprotocols=offered) as stream:
        assert stream.accepted_subprotocol == answered


def test_a_stream_has_a_request_id_as_requests_have(client: TestClient) -> None:
    with client.websocket_connect("/stream", headers={"X-Request-ID": "the-id"}) as stream:
        assert dict(stream.extra_headers or ())[b"x-request-id"] == b"the-id"


def test_before_the_start_no_stream_begins() -> None:
    with refused(TestClient(build(FACE))) as problem:
        assert problem["code"] == "not_ready"


def test_bad_frames_of_a_client_that_is_gone_are_no_error() -> None:
    arriving = [{"type": "websocket.receive", "text": "no image"}] * (BAD_FRAMES + 1)
    messages: list[Any] = [{"type": "websocket.connect"}, *arriving]
    sent: list[str] = []
    gone = asyncio.Event()

    async def receive() -> Any:
        if len(messages) == 2:  # the last two bad frames wait until the writer knows
            await gone.wait()
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if message["type"] == "websocket.send":
            gone.set()
            raise OSError

    async def serve_stream() -> None:
        app = build(FACE)
        scope = http_scope("/stream", "GET", None, "test") | {"type": "websocket", "subprotocols": []}
        async with running(app):
            await app(scope, receive, send)

    asyncio.run(serve_stream())
    assert sent[:2] == ["websocket.accept", "websocket.send"]
