import asyncio
import copy as copy_module
import importlib
import pickle
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import httpx
import pytest
from fer_service.client import AsyncClient, Client, ServiceError
from fer_service.contract.schemas import (
    BatchError,
    BatchPrediction,
    FrameError,
    FramePrediction,
    VideoEnd,
    VideoFrame,
    VideoStart,
)
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.e2e.server import Server, StartServer
from tests.scenes import astronaut, encode_image, two_faces
from tests.service.video.conftest import write_clip

KEY = "key-of-a-program-0123456789"


@pytest.fixture
def photo(tmp_path: Path, astronaut_jpeg: bytes) -> Path:
    file = tmp_path / "astronaut.jpg"
    file.write_bytes(astronaut_jpeg)
    return file


def test_without_the_extra_the_client_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "fer_service.client")
    with pytest.raises(ModuleNotFoundError, match=r"httpx is not installed; .*: pip install -e \"\.\[client\]\""):
        importlib.import_module("fer_service.client")


def test_a_client_may_be_closed_without_a_block(server: Server, photo: Path) -> None:
    client = Client(server.url)
    client.predict(photo)
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.predict(photo)

    async def ask() -> None:
        with_a_loop = AsyncClient(server.url)
        await with_a_loop.predict(photo)
        await with_a_loop.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await with_a_loop.predict(photo)

    asyncio.run(ask())


def test_a_client_may_be_sent_to_another_process(server: Server, photo: Path) -> None:
    with pickle.loads(pickle.dumps(Client(server.url))) as copy:
        assert copy.predict(photo).faces
    assert isinstance(copy_module.copy(AsyncClient(server.url)), AsyncClient)


def test_an_image_is_its_bytes_or_its_path(server: Server, photo: Path) -> None:
    with Client(server.url) as client:
        prediction = client.predict(photo)
        assert prediction == client.predict(photo.read_bytes()) == client.predict(str(photo))
        assert [face.emotion for face in prediction.faces] == ["happy"]
        assert client.predict(encode_image(two_faces(), ".png"), max_faces=1).faces[1:] == []
        (box,) = (face.box.model_dump() for face in prediction.faces)
        assert client.predict(photo, boxes=[box]).faces[0].box == prediction.faces[0].box
        tracked = client.track(photo)
        again = client.track(photo, tracked.session)
        assert [face.id for face in tracked.faces] == [face.id for face in again.faces] == [1]
        assert client.draw(photo, "image/png").startswith(b"\x89PNG")
        assert client.model().name == prediction.model.name


def test_a_batch_keeps_its_order_and_its_errors(server: Server, photo: Path) -> None:
    with Client(server.url) as client:
        first, second, third = client.predict_batch([photo, b"text", photo.read_bytes()])
    assert isinstance(first, BatchPrediction)
    assert isinstance(second, BatchError)
    assert isinstance(third, BatchPrediction)
    assert (first.name, second.error.code) == ("astronaut.jpg", "undecodable_image")
    assert first.faces == third.faces


def test_a_refusal_has_its_code(server: Server, photo: Path) -> None:
    with Client(server.url) as client:
        with pytest.raises(ServiceError, match="422 undecodable_image: this is a PDF document") as refused:
            client.predict(b"%PDF-1.7")
        assert refused.value.problem.code == "undecodable_image"
        with pytest.raises(ServiceError, match="max_faces"):
            list(client.stream([photo], max_faces=0))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", [astronaut()] * 6, [number / 10 for number in range(6)])


def test_a_video_is_answered_frame_by_frame(server: Server, clip: Path) -> None:
    with Client(server.url) as client:
        start, first, second, end = client.video(clip, every=0.3)
        assert isinstance(start, VideoStart)
        assert isinstance(first, VideoFrame)
        assert isinstance(second, VideoFrame)
        assert [face.id for face in first.faces] == [face.id for face in second.faces] == [1]
        assert isinstance(end, VideoEnd)
        assert end.summary.emotions == {"happy": 2}
        with pytest.raises(ServiceError, match="422 undecodable_video"):
            list(client.video(b"no video"))
        with pytest.raises(ServiceError, match="every"):
            list(client.video(clip, every=-1))


def test_a_stream_answers_every_frame(server: Server, photo: Path) -> None:
    with Client(server.url) as client:
        first, second, third = client.stream([photo, b"text", photo], smooth=0)
    assert isinstance(first, FramePrediction)
    assert isinstance(second, FrameError)
    assert isinstance(third, FramePrediction)
    assert [face.id for face in first.faces] == [face.id for face in third.faces] == [1]
    assert third.frame == 3


def test_an_event_loop_gets_the_same(server: Server, photo: Path) -> None:
    async def frames() -> AsyncIterator[Path]:
        yield photo
        yield photo

    async def ask() -> None:
        async with AsyncClient(server.url) as client:
            predictions = await asyncio.gather(*(client.predict(photo) for _ in range(4)))
            (batched,) = await client.predict_batch([photo])
            tracked = [answer async for answer in client.stream(frames())]
            assert (await client.draw(photo)).startswith(b"\xff\xd8")
            assert (await client.model()).name == predictions[0].model.name
            with pytest.raises(ServiceError, match="invalid_parameter"):
                await client.predict(photo, max_faces=0)
            with pytest.raises(ServiceError, match="invalid_parameter"):
                await anext(client.stream(frames(), smooth=-1))
        assert all(prediction == predictions[0] for prediction in predictions)
        assert isinstance(batched, BatchPrediction)
        assert batched.faces == predictions[0].faces
        assert [answer.frame for answer in tracked] == [1, 2]

    asyncio.run(ask())


def test_a_busy_service_is_asked_again(start_server: StartServer, photo: Path) -> None:
    server = start_server(FER_MAX_IN_FLIGHT="1", FER_THREADS="1")
    hasty = Client(server.url, retries=0)
    with hasty, ThreadPoolExecutor(6) as threads, pytest.raises(ServiceError, match="429 overloaded"):
        list(threads.map(lambda _: hasty.predict(photo), range(24)))
    with Client(server.url, retries=20) as patient, ThreadPoolExecutor(4) as threads:
        assert all(prediction.faces for prediction in threads.map(lambda _: patient.predict(photo), range(8)))


def test_a_key_opens_requests_and_streams(start_server: StartServer, photo: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text(KEY)
    server = start_server(FER_API_KEYS_FILE=str(keys))
    with Client(server.url + "/", api_key=KEY) as client:
        assert client.predict(photo).faces
        assert len(list(client.stream([photo]))) == 1
    with Client(server.url) as stranger:
        with pytest.raises(ServiceError, match="401 unauthorized"):
            stranger.predict(photo)
        with pytest.raises(ServiceError, match="401 unauthorized"):
            list(stranger.stream([photo]))


def test_a_service_that_has_gone_is_tried_again_and_then_reported(start_server: StartServer, photo: Path) -> None:
    server = start_server()
    with Client(server.url, retries=2) as client:
        answers = client.stream([photo, photo])
        next(answers)
        assert server.terminate() == 0
        with pytest.raises(ConnectionClosed) as closed:
            next(answers)
        began = time.monotonic()
        with pytest.raises(httpx.TransportError):
            client.predict(photo)
        with pytest.raises(httpx.ConnectError):
            next(client.stream([photo]))
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert time.monotonic() - began > 0.25  # pauses of 0.1 and 0.2 s


class BrokenProxy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(502)

    def log_message(self, format: str, *values: object) -> None:
        pass


def test_an_answer_of_a_proxy_is_shown() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BrokenProxy) as proxy:
        Thread(target=proxy.serve_forever).start()
        try:
            client = Client(f"http://127.0.0.1:{proxy.server_port}")
            with client, pytest.raises(ServiceError, match=r"502 http_502: [\s\S]*Bad Gateway"):
                client.model()
        finally:
            proxy.shutdown()


class Redirect(BaseHTTPRequestHandler):
    """Sends the handshakes of streams to another host, which refuses them."""

    protocol_version = "HTTP/1.1"
    elsewhere = ""
    keys: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        if "moved" in self.path:
            self.keys.append(self.headers.get("Authorization", "") + self.headers.get("X-API-Key", ""))
            self.send_error(403)
            return
        self.send_response(302)
        self.send_header("Location", self.elsewhere)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *values: object) -> None:
        pass


def test_a_key_is_not_sent_to_the_host_of_a_redirect(photo: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Redirect) as proxy:
        Thread(target=proxy.serve_forever).start()
        address = f"127.0.0.1:{proxy.server_port}"
        Redirect.elsewhere = f"ws://{address.replace('127.0.0.1', 'localhost')}/moved"
        try:
            with Client(f"http://{address}", api_key=KEY) as client, pytest.raises(ServiceError, match="http_"):
                list(client.stream([photo]))
            Redirect.elsewhere = f"https://{address}/stream"
            with Client(f"http://{address}") as client, pytest.raises(httpx.ConnectError):
                list(client.stream([photo]))
        finally:
            proxy.shutdown()
    assert Redirect.keys == [""]


@pytest.mark.parametrize(("answer", "error"), [(None, httpx.ReadTimeout), ("hello", httpx.RemoteProtocolError)])
def test_a_stream_without_a_proper_answer_is_an_error(
    photo: Path, answer: str | None, error: type[Exception]
) -> None:
    def handle(connection: ServerConnection) -> None:
        for _ in connection:
            if answer:
                connection.send(answer)

    with serve(handle, "127.0.0.1", 0) as mute:
        Thread(target=mute.serve_forever).start()
        port = mute.socket.getsockname()[1]
        with Client(f"http://127.0.0.1:{port}", timeout=0.5) as client, pytest.raises(error):
            list(client.stream([photo]))
        mute.shutdown()


class CuttingProxy(BaseHTTPRequestHandler):
    """Ends an answer to a video in the middle, in a way that HTTP takes for its end."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"type": "clip", "duration": 1}\n' + self.path.partition("rest=")[2].encode())

    def log_message(self, format: str, *values: object) -> None:
        pass


@pytest.mark.parametrize("rest", ["", "half"])
def test_an_answer_to_a_video_that_was_cut_is_an_error(rest: str) -> None:
    async def ask(url: str) -> None:
        async with AsyncClient(url) as client:
            async for _ in client.video(b"video", rest=rest):
                pass

    with ThreadingHTTPServer(("127.0.0.1", 0), CuttingProxy) as proxy:
        Thread(target=proxy.serve_forever).start()
        url = f"http://127.0.0.1:{proxy.server_port}"
        try:
            with Client(url) as client:
                lines = client.video(b"video", rest=rest)
                assert isinstance(next(lines), VideoStart)
                with pytest.raises(httpx.RemoteProtocolError, match=r"cut off|incomplete"):
                    list(lines)
            with pytest.raises(httpx.RemoteProtocolError, match=r"cut off|incomplete"):
                asyncio.run(ask(url))
        finally:
            proxy.shutdown()
