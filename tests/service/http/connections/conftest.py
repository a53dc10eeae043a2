import base64
import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from fer_service.contract.settings import load_settings
from fer_service.http.connections.limits import ConnectionLimits
from fer_service.http.server import Server, connection_config, listen

from tests.fakes import FakeClassifier
from tests.service.http.conftest import FACE, build

SECONDS = 10
KEY = base64.b64encode(bytes(16)).decode()
HANDSHAKE = (
    f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
)
BINARY, TEXT, CONTINUATION, CLOSE, PING = 2, 1, 0, 8, 9


@dataclass
class Service:
    """A service with fakes, behind a socket of this machine."""

    server: Server
    port: int
    thread: threading.Thread
    sockets: list[socket.socket] = field(default_factory=list)

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """A bare connection; with a small receive buffer the sender soon notices that nobody reads."""
        connection = socket.socket()
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(SECONDS)
        connection.connect(("127.0.0.1", self.port))
        self.sockets.append(connection)
        return connection

    def raw(self, *parts: bytes) -> bytes:
        """Send bytes as they are; all that comes until the end of the connection."""
        connection = self.connect()
        for part in parts:
            connection.sendall(part)
        return read_all(connection)

    def alive(self) -> bool:
        """Whether the service answers others."""
        return self.raw(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(
            b"HTTP/1.1 200 "
        )

    def stream(self, receive_buffer: int | None = None) -> socket.socket:
        """An open stream."""
        connection = self.connect(receive_buffer)
        connection.sendall(f"GET /stream HTTP/1.1\r\nHost: x\r\n{HANDSHAKE}\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")
        return connection

    def open_connections(self) -> int:
        return len(self.server.server_state.connections)

    def stop(self) -> float:
        """Stop the service; seconds until it has ended."""
        began = time.monotonic()
        self.server.should_exit = True
        self.thread.join(SECONDS)
        assert not self.thread.is_alive()
        return time.monotonic() - began


def read_all(connection: socket.socket) -> bytes:
    """All bytes until the end; a reset instead of the end fails the test."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def is_closed(connection: socket.socket) -> bool:
    """Whether the service closes the connection, in order or not, in the time of a test."""
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def code_of(answer: bytes) -> str:
    """The code of the only problem."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    code: str = json.loads(body)["code"]
    return code


def frame(kind: int, data: bytes = b"", *, last: bool = True) -> bytes:
    """A client's frame (RFC 6455, section 5.2); its mask is four zeros."""
    size = len(data)
    length = bytes([0x80 | size]) if size < 126 else bytes([0xFF]) + struct.pack(">Q", size)
    return bytes([(0x80 if last else 0) | kind]) + length + bytes(4) + data


def closing_code(connection: socket.socket) -> int:
    """The code with which the service closes a stream that has got no results."""
    received = read_all(connection)
    at = received.index(b"\x88")
    return int(struct.unpack(">H", received[at + 2 : at + 4])[0])


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


Start = Callable[..., Service]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts services with these limits and settings; they end with the test."""
    started: list[Service] = []

    def serve(
        limits: ConnectionLimits | None = None, classifier: FakeClassifier | None = None, **settings: Any
    ) -> Service:
        listener = listen(load_settings(port=0))
        serving = threading.Event()
        app = build(FACE, classifier=classifier, **settings)
        config = connection_config(app, load_settings(**settings), limits or ConnectionLimits(tick=0.02))
        server = Server(config, config.limits.message_seconds, serving.set)
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
        thread.start()
        assert serving.wait(SECONDS)
        started.append(Service(server, listener.getsockname()[1], thread))
        return started[-1]

    yield serve
    for service in started:
        for connection in service.sockets:
            with contextlib.suppress(OSError):
                connection.close()
        service.stop()
