import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.options import Limits
from fer_service.contract.boxes import Box
from fer_service.contract.settings import load_settings
from fer_service.detection.detector import Face
from fer_service.http.app import create_app
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Scope

from tests.fakes import FakeClassifier, FakeDetector

FACE = Face(Box(10, 10, 40, 40), 0.9, ((20, 25), (40, 25), (30, 35), (22, 42), (38, 42)))
FIRST, SECOND = "first-key-0123456789", "second-key-0123456789"
Serve = Callable[..., TestClient]


@dataclass(frozen=True)
class Answer:
    """What an ASGI app sent."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def code(self) -> str:
        """Of the problem."""
        code: str = json.loads(self.body)["code"]
        return code


def build(
    *faces: Face, classifier: FakeClassifier | None = None, limits: Limits | None = None, **settings: Any
) -> FastAPI:
    """The application around fakes."""
    analyzer = Analyzer(FakeDetector(*faces), classifier or FakeClassifier(), limits)
    return create_app(load_settings(threads=2, **settings), analyzer)


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[FastAPI]:
    """The application between its start and its end, on this loop."""
    async with app.router.lifespan_context(app):
        yield app


def http_scope(path: str, method: str, headers: dict[str, str] | None, client: str) -> Scope:
    """The head of a request as pure ASGI."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("test", 80),
        "client": (client, 1),
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
    }


async def call(
    app: ASGIApp,
    path: str,
    *chunks: bytes,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    then: Callable[[], Any] | None = None,
    client: str = "test",
) -> Answer:
    """One request as pure ASGI; when its chunks have been read, receiving awaits `then` and tells a disconnect.

    Without chunks and `then`, a body that is read fails the test.
    """
    left = list(chunks)
    sent: list[Message] = []
    closed = asyncio.Event()

    async def receive() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}
        assert chunks or then, "the body was read"
        await (then() if then else closed.wait())
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(http_scope(path, method, headers, client), receive, send)
    return _answer(sent)


class Exchange:
    """A request whose body is sent step by step, by a client that may stop to read the answer.

    Attributes:
        task: Serves it.
        reading: While it is not set, the server waits after each message that it sends.
    """

    def __init__(
        self, app: ASGIApp, path: str, client: str = "test", headers: dict[str, str] | None = None
    ) -> None:
        self.reading = asyncio.Event()
        self.reading.set()
        self._received: asyncio.Queue[Message] = asyncio.Queue()
        self._sent: list[Message] = []
        scope = http_scope(path, "POST", headers, client)
        self.task = asyncio.ensure_future(app(scope, self._received.get, self._send))

    def upload(self, chunk: bytes, *, more: bool = True) -> None:
        self._received.put_nowait({"type": "http.request", "body": chunk, "more_body": more})

    def disconnect(self) -> None:
        self._received.put_nowait({"type": "http.disconnect"})
        self.reading.set()

    async def answer(self) -> Answer:
        await self.task
        return _answer(self._sent)

    @property
    def sent(self) -> int:
        """Bytes of the answer's body that the server has sent."""
        return sum(len(message.get("body", b"")) for message in self._sent)

    async def _send(self, message: Message) -> None:
        self._sent.append(message)
        await self.reading.wait()


def _answer(sent: list[Message]) -> Answer:
    start = sent[0]
    assert [message["type"] for message in sent].count("http.response.start") == 1
    raw = [(name.decode(), value.decode()) for name, value in start["headers"]]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(start["status"], httpx.Headers(raw), body)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts applications and gives HTTP clients for them."""
    with ExitStack() as stack:

        def start(*faces: Face, **options: Any) -> TestClient:
            return stack.enter_context(TestClient(build(*faces, **options)))

        yield start


@pytest.fixture
def client(serve: Serve) -> TestClient:
    """A service that sees one face in every image."""
    return serve(FACE)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A file of the keys `FIRST` and `SECOND`."""
    path = tmp_path / "keys.txt"
    path.write_text(f"# of the two teams\n{FIRST}\n\n  {SECOND}  # until March\n")
    return path
