"""POST /predict/video, with real clips, the real process that decodes them, and fakes of the networks."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fer_service.contract.job import Job
from fer_service.detection.detector import Face
from fer_service.http.lifecycle import Phase
from fer_service.http.routes import video
from starlette.testclient import TestClient

from tests.fakes import FakeDetector
from tests.service.conftest import SECONDS, Pixels, plain
from tests.service.http.conftest import FACE, FIRST, Exchange, Serve, build, running
from tests.service.http.test_stream import metric
from tests.service.video.conftest import STEADY, plain_frame, write_clip

ROUTE = "/predict/video"


@pytest.fixture
def clip(tmp_path: Path) -> bytes:
    """Two seconds at ten frames per second, green, red from 1 s on."""
    frames = [plain_frame(0, 220, 0) if at < 1 else plain_frame(220, 0, 0) for at in STEADY]
    return write_clip(tmp_path / "clip.mp4", frames, STEADY).read_bytes()


def long_clip(path: Path, seconds: int = 20) -> bytes:
    times = [number / 10 for number in range(10 * seconds)]
    return write_clip(path, [plain_frame(0, 220, 0)] * len(times), times).read_bytes()


def lines_of(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


def decoders() -> list[int]:
    """The processes that decode videos for this one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            # proc(5): after the name in brackets come the state and the parent.
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"clip_process" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def test_a_line_per_frame_between_the_duration_and_the_summary(client: TestClient, clip: bytes) -> None:
    start, *frames, end = lines_of(client.post(ROUTE, content=clip, headers={"Content-Type": "video/mp4"}))
    assert start == {"type": "clip", "duration": pytest.approx(2, abs=0.1)}
    assert [line["time"] for line in frames] == STEADY
    assert [line["progress"] for line in frames] == pytest.approx(
        [at / start["duration"] for at in STEADY], abs=1e-3
    )
    assert {face["id"] for line in frames for face in line["faces"]} == {1}
    assert frames[0]["image"] == {"width": 96, "height": 64}
    assert frames[0]["faces"][0]["raw_probabilities"]["happy"] > 0.9
    assert frames[-1]["faces"][0]["emotion"] == "angry"
    assert end["type"] == "end"
    assert (end["summary"]["frames"], end["summary"]["tracks"], end["damage"]) == (20, 1, [])
    assert metric(client, "fer_videos") == 0
    assert metric(client, "fer_held_bytes") == 0
    assert metric(client, "fer_requests_in_flight") == 0


def test_frames_are_chosen_by_time_and_faces_by_the_query(client: TestClient, clip: bytes) -> None:
    query = {"every": 0.5, "smooth": 0}
    _, *frames, _ = lines_of(client.post(ROUTE, params=query, files={"file": ("clip.mp4", clip)}))
    assert [line["frame"] for line in frames] == [0, 5, 10, 15]
    assert frames[2]["faces"][0]["probabilities"] == frames[2]["faces"][0]["raw_probabilities"]
    _, *frames, _ = lines_of(client.post(ROUTE, params={"every": 1, "detect": False}, content=clip))
    assert frames[0]["faces"][0]["box"] == {"x": 0, "y": 0, "width": 96, "height": 64}
    _, *frames, _ = lines_of(client.post(ROUTE, params={"every": 1, "min_score": 0.95}, content=clip))
    assert [line["faces"] for line in frames] == [[], []]


def test_what_is_no_video_is_refused(client: TestClient, clip: bytes) -> None:
    cases = {
        "undecodable_video": (422, {"content": b"no video at all" * 100}),
        "missing_image": (400, {"content": b""}),
        "unsupported_media_type": (415, {"content": clip, "headers": {"Content-Type": "text/plain"}}),
        "invalid_parameter": (422, {"content": clip, "params": {"every": -1}}),
    }
    for code, (status, sent) in cases.items():
        response = client.post(ROUTE, **sent)
        assert (response.status_code, response.json()["code"]) == (status, code)
    assert "the file" in client.post(ROUTE, content=b"no video" * 100).json()["detail"]
    assert "/predict/video" in client.post("/predict", content=clip).json()["detail"]


def test_a_video_beyond_the_limits_is_refused(serve: Serve, clip: bytes) -> None:
    small = serve(FACE, max_video_bytes=len(clip) - 1)
    for sent in ({"content": clip}, {"files": {"file": clip}}, {"content": iter([clip])}):
        response = small.post(ROUTE, **sent)  # type: ignore[arg-type]
        assert response.json()["code"] == "image_too_large"
        assert "FER_MAX_VIDEO_BYTES" in response.json()["detail"]
    narrow = serve(FACE, max_video_pixels=96 * 64 - 1)
    assert "FER_MAX_VIDEO_PIXELS" in narrow.post(ROUTE, content=clip).json()["detail"]
    off = serve(FACE, max_videos=0)
    refusal = off.post(ROUTE, content=clip)  # 429 would have clients try again
    assert (refusal.status_code, refusal.json()["code"]) == (501, "videos_not_supported")
    assert "FER_MAX_VIDEOS" in refusal.json()["detail"]


def test_a_slow_upload_names_the_limit_of_videos(clip: bytes) -> None:
    async def scenario() -> None:
        async with running(build(FACE, video_timeout=0.2)) as app:
            exchange = Exchange(app, ROUTE)
            exchange.upload(clip[:100])
            answer = await exchange.answer()
            assert (answer.status, answer.code) == (504, "deadline_exceeded")
            assert b"FER_VIDEO_TIMEOUT" in answer.body

    asyncio.run(scenario())


def test_boxes_in_a_form_are_refused_because_they_belong_to_one_image(client: TestClient, clip: bytes) -> None:
    response = client.post(ROUTE, files={"file": clip}, data={"boxes": "[]"})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_parameter")


@pytest.mark.parametrize("kind", ["video/x-matroska", "application/mp4", "image/gif", "image/apng"])
def test_the_types_of_videos_are_taken(client: TestClient, clip: bytes, kind: str) -> None:
    assert lines_of(client.post(ROUTE, content=clip, headers={"Content-Type": kind}))


def test_a_truncated_video_says_what_is_missing(client: TestClient, tmp_path: Path) -> None:
    whole = long_clip(tmp_path / "clip.mkv")
    *_, end = lines_of(client.post(ROUTE, params={"every": 1}, content=whole[: len(whole) // 2]))
    assert end["type"] == "end"
    assert "of 19.9 s" in " ".join(end["damage"]) or "damaged" in " ".join(end["damage"])


def test_a_key_is_needed_where_keys_are_set(serve: Serve, key_file: Path, clip: bytes) -> None:
    keyed = serve(FACE, api_keys_file=key_file)
    assert keyed.post(ROUTE, content=clip).status_code == 401
    assert lines_of(keyed.post(ROUTE, content=clip, headers={"X-API-Key": FIRST}))


def test_a_service_without_the_reader_says_how_to_install_it(
    client: TestClient, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "find_spec", lambda name: None)
    response = client.post(ROUTE, content=clip)
    assert response.status_code == 501
    assert 'pip install -e ".[video]"' in response.json()["detail"]


@pytest.fixture
def slow_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector that takes long for frames, as a busy machine does."""
    detect = FakeDetector.detect

    def slowly(self: FakeDetector, pixels: Pixels, min_score: float, job: Job | None = None) -> list[Face]:
        time.sleep(0.05)
        return detect(self, pixels, min_score, job)

    monkeypatch.setattr(FakeDetector, "detect", slowly)


@pytest.mark.usefixtures("slow_detector")
def test_it_takes_too_long(serve: Serve, tmp_path: Path) -> None:
    hurried = serve(FACE, video_timeout=4)
    start, *_, error = lines_of(hurried.post(ROUTE, content=long_clip(tmp_path / "clip.mp4", 60)))
    assert start["type"] == "clip"
    assert (error["type"], error["error"]["code"]) == ("error", "deadline_exceeded")
    assert "FER_VIDEO_TIMEOUT" in error["error"]["detail"]


def test_a_defect_ends_the_answer_with_an_error(
    serve: Serve, clip: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = serve(FACE)

    def detect(self: FakeDetector, pixels: Pixels, min_score: float, job: Job | None = None) -> list[Any]:
        raise RuntimeError("a defect")

    monkeypatch.setattr(FakeDetector, "detect", detect)
    *_, error = lines_of(broken.post(ROUTE, content=clip))
    assert error["error"]["code"] == "internal_error"
    assert "a video failed" in caplog.text


async def begun(exchange: Exchange, size: int = 100) -> None:
    async with asyncio.timeout(SECONDS):
        while exchange.sent < size:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("stuck", [False, True])
def test_a_client_that_hangs_up_ends_the_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, stuck: bool
) -> None:
    async def scenario() -> None:
        async with running(build(FACE)) as app:
            exchange = Exchange(app, ROUTE)
            exchange.upload(long_clip(tmp_path / "clip.mp4", 300), more=False)
            await begun(exchange)
            (decoder,) = decoders()
            if stuck:
                os.kill(decoder, signal.SIGSTOP)
                await asyncio.sleep(0.2)
            exchange.disconnect()
            await asyncio.wait_for(exchange.task, SECONDS)
            assert not decoders()
            state = app.state.service
            assert state.admission.ledger.held == 0
            assert state.metrics.registry.get_sample_value("fer_videos") == 0

    asyncio.run(scenario())
    gc.collect()  # a future whose error nobody has seen says so in the log
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_client_that_does_not_read_stops_the_work(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(build(FACE)) as app:
            exchange = Exchange(app, ROUTE)
            exchange.upload(long_clip(tmp_path / "clip.mp4", 30), more=False)
            await begun(exchange)
            exchange.reading.clear()
            await asyncio.sleep(0.1)
            sent = exchange.sent
            await asyncio.sleep(0.5)
            assert exchange.sent == sent
            exchange.reading.set()
            answer = await exchange.answer()
            assert len(answer.body.splitlines()) == 302

    asyncio.run(scenario())


def test_ordinary_images_are_answered_meanwhile_and_videos_have_seats(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(build(FACE, max_videos=4)) as app:
            data = long_clip(tmp_path / "clip.mp4", 300)
            exchanges = [Exchange(app, ROUTE, client="a") for _ in range(3)]
            for exchange in exchanges:
                exchange.upload(data, more=False)
                await begun(exchange)
            fourth = Exchange(app, ROUTE, client="a")
            assert (await fourth.answer()).code == "overloaded"  # before anything was uploaded
            image = Exchange(app, "/predict", client="b")
            image.upload(plain("lime"), more=False)
            assert (await image.answer()).status == 200
            assert not any(exchange.task.done() for exchange in exchanges)
            for exchange in exchanges:
                exchange.disconnect()
                await exchange.task
            assert not decoders()

    asyncio.run(scenario())


def test_frames_wait_while_all_places_are_taken(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(build(FACE, max_in_flight=4)) as app:
            admission = app.state.service.admission
            exchange = Exchange(app, ROUTE, client="a")
            exchange.upload(long_clip(tmp_path / "clip.mp4", 3), more=False)
            await begun(exchange)
            for client in ("a", "a", "b", "b"):
                while not admission.has_place(client):
                    await asyncio.sleep(0)
                admission.enter(client)
            await asyncio.sleep(0.2)
            sent = exchange.sent
            await asyncio.sleep(0.3)
            assert exchange.sent == sent
            for client in ("a", "a", "b", "b"):
                admission.leave(client)
            answer = await asyncio.wait_for(exchange.answer(), SECONDS)
            assert json.loads(answer.body.splitlines()[-1])["type"] == "end"

    asyncio.run(scenario())


def test_a_client_that_hangs_up_before_the_first_line_ends_the_work(clip: bytes) -> None:
    async def scenario() -> None:
        async with running(build(FACE)) as app:
            exchange = Exchange(app, ROUTE)
            exchange.upload(clip, more=False)
            async with asyncio.timeout(SECONDS):
                while not decoders():
                    await asyncio.sleep(0.01)
            os.kill(decoders()[0], signal.SIGSTOP)
            exchange.disconnect()
            await asyncio.wait_for(exchange.task, SECONDS)
            assert not decoders()

    asyncio.run(scenario())


def test_a_decoder_that_is_killed_is_no_fault_of_the_video(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(build(FACE)) as app:
            exchange = Exchange(app, ROUTE)
            exchange.upload(long_clip(tmp_path / "clip.mp4", 300), more=False)
            await begun(exchange)
            os.kill(decoders()[0], signal.SIGKILL)
            answer = await asyncio.wait_for(exchange.answer(), SECONDS)
            assert json.loads(answer.body.splitlines()[-1])["error"]["code"] == "insufficient_memory"

    asyncio.run(scenario())


def test_the_end_of_the_process_ends_a_video(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(build(FACE, request_timeout=0.5)) as app:
            exchange = Exchange(app, ROUTE)
            exchange.upload(long_clip(tmp_path / "clip.mp4", 300), more=False)
            await begun(exchange)
            app.state.service.lifecycle.phase = Phase.DRAINING
            answer = await asyncio.wait_for(exchange.answer(), SECONDS)
            last = json.loads(answer.body.splitlines()[-1])
            assert last["error"]["code"] == "draining"

    asyncio.run(scenario())
