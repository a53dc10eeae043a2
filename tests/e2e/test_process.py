import socket
import sys
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.conftest import Server, StartServer


def test_it_is_ready_within_seconds(start_server: StartServer) -> None:
    began = time.monotonic()
    server = start_server()
    assert server.client.get("/readyz").json() == {"status": "ready"}
    assert server.client.get("/livez").json() == {"status": "alive"}
    assert time.monotonic() - began < 10


def test_told_to_end_it_finishes_what_it_accepted(start_server: StartServer, astronaut_jpeg: bytes) -> None:
    server = start_server(FER_DRAIN_DELAY="1")
    statuses: list[int] = []
    stop = threading.Event()

    def load() -> None:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            while not stop.is_set():
                try:
                    statuses.append(client.post("/predict", content=astronaut_jpeg).status_code)
                except httpx.ConnectError:  # the listener is closed: nothing was accepted
                    return

    workers = [threading.Thread(target=load) for _ in range(3)]
    for worker in workers:
        worker.start()
    wait_for(lambda: len(statuses) > 5)
    server.process.terminate()
    draining = wait_for(lambda: server.client.get("/readyz").status_code == 503)
    assert draining
    assert server.client.get("/readyz").json()["code"] == "draining"
    assert server.client.post("/predict", content=astronaut_jpeg).status_code == 200
    status = server.wait()
    stop.set()
    for worker in workers:
        worker.join()
    assert status == 0
    assert set(statuses) == {200}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_connection_that_was_made_in_time_is_answered(
    start_server: StartServer, astronaut_jpeg: bytes, workers: str
) -> None:
    server = start_server(FER_WORKERS=workers)
    assert wait_for(lambda: server.log.count("startup complete") == int(workers))
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as connection:
        # Its replica has seen it, as it has seen a later one.
        for _ in range(8):
            assert httpx.get(f"{server.url}/livez").status_code == 200
        server.process.terminate()
        assert wait_for(lambda: server.log.count("Shutting down") == int(workers))
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(astronaut_jpeg)}\r\n\r\n"
        connection.sendall(head.encode() + astronaut_jpeg)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close\r\n" in answer.lower()
    assert server.wait() == 0


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FER_PROT", "1"),
        ("FER_PORT", "http"),
        ("FER_WORKERS", "0"),
        ("FER_MODEL", "/nowhere/model.onnx"),
        ("FER_DETECTOR", "/nowhere/detector.onnx"),
        ("FER_DEVICE", "gpu"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_sentence(
    start_server: StartServer, variable: str, value: str
) -> None:
    server = start_server(**{variable: value})
    assert server.wait() == 1
    assert value in server.log or variable in server.log
    assert len(server.log.strip().splitlines()) == 1


def test_a_taken_port_is_one_sentence(start_server: StartServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = start_server(FER_PORT=str(taken.getsockname()[1]))
        assert server.wait() == 1
    assert "cannot listen" in server.log
    assert "Traceback" not in server.log


def test_two_replicas_share_the_port_and_the_metrics(start_server: StartServer, astronaut_jpeg: bytes) -> None:
    server = start_server(FER_WORKERS="2")
    assert wait_for(lambda: is_ready(server))
    for _ in range(12):
        with httpx.Client(base_url=server.url, timeout=30) as client:
            assert client.post("/predict", content=astronaut_jpeg).status_code == 200
    scraped = server.client.get("/metrics").text
    assert 'fer_requests_total{code="200",route="/predict"} 12.0' in scraped
    assert "fer_model_info{" in scraped
    assert server.terminate() == 0


def test_who_comes_before_a_replica_is_ready_is_not_refused(start_server: StartServer) -> None:
    server = start_server(FER_WORKERS="2")
    assert server.client.get("/livez").status_code == 200
    assert server.terminate() == 0


def test_no_replica_outlives_a_parent_that_is_killed(start_server: StartServer) -> None:
    server = start_server(FER_WORKERS="2")
    assert wait_for(lambda: is_ready(server))
    server.process.kill()
    assert wait_for(lambda: is_refused(server))


@pytest.mark.skipif(sys.platform != "linux", reason="replicas are found in /proc")
def test_no_replica_outlives_a_parent_that_is_killed_while_they_start(start_server: StartServer) -> None:
    server = start_server(FER_WORKERS="2")
    assert wait_for(lambda: len(server.replicas) >= 2)
    server.process.kill()
    assert wait_for(lambda: is_refused(server))


def test_replicas_that_cannot_start_end_the_parent(start_server: StartServer) -> None:
    server = start_server(FER_WORKERS="2", FER_MODEL="/nowhere/model.onnx")
    assert server.wait() == 1
    assert "/nowhere/model.onnx" in server.log
    assert "Traceback" not in server.log


def is_ready(server: Server) -> bool:
    try:
        return server.client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def is_refused(server: Server) -> bool:
    try:
        httpx.get(f"{server.url}/livez", timeout=5)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        return False
    return False


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False
