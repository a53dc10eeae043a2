import asyncio
import threading

import pytest
from fer_service.http.connections.limits import ConnectionLimits
from starlette.types import Receive, Scope, Send

from tests.service.conftest import HeldClassifier, plain
from tests.service.http.connections.conftest import (
    BINARY,
    HANDSHAKE,
    SECONDS,
    Service,
    Start,
    code_of,
    frame,
    read_all,
    status_of,
    wait_until,
)

GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"


def idle(service: Service) -> None:
    connection = service.connect()
    connection.sendall(GET)
    assert status_of(connection.recv(65536)) == 200


def half_head(service: Service) -> None:
    service.connect().sendall(GET[:20])


def half_body(service: Service) -> None:
    service.connect().sendall(POST + b"Content-Length: 1000\r\n\r\nabc")


def refused_upload(service: Service) -> None:
    connection = service.connect()
    connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
    assert status_of(connection.recv(65536)) == 404


def stream(service: Service) -> None:
    service.stream()


def half_message(service: Service) -> None:
    service.stream().sendall(frame(BINARY, b"a", last=False))


@pytest.mark.parametrize("client", [idle, half_head, half_body, refused_upload, stream, half_message])
def test_the_server_ends_whatever_its_clients_do(start: Start, client: object) -> None:
    service = start(request_timeout=1.0)
    assert callable(client)
    for _ in range(3):
        client(service)
    wait_until(lambda: service.open_connections() == 3)
    assert service.stop() < 1.0 + 3


def test_an_accepted_request_is_answered(start: Start) -> None:
    classifier = HeldClassifier()
    service = start(classifier=classifier)
    image = plain("lime", 80, 60)
    connection = service.connect()
    classifier.hold()
    connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(image) + image)
    assert classifier.began.acquire(timeout=SECONDS)
    service.server.should_exit = True
    wait_until(lambda: not service.server.servers[0].is_serving())
    classifier.free.set()
    answer = read_all(connection)
    assert status_of(answer) == 200
    assert b"connection: close\r\n" in answer
    assert service.stop() < 5


def test_a_handshake_that_is_not_answered_yet_is_refused_as_draining(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    service, began = start(), threading.Event()

    async def accept_late(scope: Scope, receive: Receive, send: Send) -> None:
        began.set()
        while not service.server.should_exit or service.server.servers[0].is_serving():
            await asyncio.sleep(0.01)
        await send({"type": "websocket.http.response.start", "status": 429, "headers": []})

    service.server.config.loaded_app = accept_late
    connection = service.connect()
    connection.sendall(f"GET /stream HTTP/1.1\r\nHost: x\r\n{HANDSHAKE}\r\n".encode())
    assert began.wait(SECONDS)
    service.stop()
    answer = read_all(connection)
    assert (status_of(answer), code_of(answer)) == (503, "draining")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_when_all_places_are_taken_idle_connections_make_room(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    service = start(ConnectionLimits(tick=0.02))
    service.server.config.cap._limit = 8
    for _ in range(12):
        idle(service)
        half_head(service)
    assert service.alive()
    assert service.open_connections() <= 9
    (line,) = [record.getMessage() for record in caplog.records if "connections are open" in record.getMessage()]
    assert "8 connections are open, the maximum" in line
    assert "ulimit -n" in line
