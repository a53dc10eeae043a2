import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fer_benchmarks.server_process import ServerProcess

from tests.e2e.server import SETTINGS, Server, StartServer


def test_a_server_that_listens_is_alive_and_ready_until_a_hang_up(start_server: StartServer) -> None:
    server = start_server()
    assert server.client.get("/readyz").json() == {"status": "ready"}
    assert server.client.get("/livez").json() == {"status": "alive"}
    server.process.send_signal(signal.SIGHUP)
    assert server.wait() == 0


def test_sigterm_lets_accepted_requests_finish(start_server: StartServer, astronaut_jpeg: bytes) -> None:
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
def test_a_connection_made_before_shutdown_is_answered(
    start_server: StartServer, astronaut_jpeg: bytes, workers: str
) -> None:
    server = start_server(FER_WORKERS=workers)
    assert wait_for(lambda: server.log.count("startup complete") == int(workers))
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as connection:
        # A replica that has answered later connections has accepted this one.
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
        ("FER_WORKERS", "0"),
        ("FER_DETECTOR", "/nowhere/detector.onnx"),
    ],
)
def test_an_invalid_setting_stops_the_start_with_one_line(
    start_server: StartServer, variable: str, value: str
) -> None:
    server = start_server(**{variable: value})
    assert server.wait() == 1
    assert value in server.log or variable in server.log
    assert len(server.log.strip().splitlines()) == 1


def test_a_port_in_use_stops_the_start_with_one_line(start_server: StartServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = start_server(FER_PORT=str(taken.getsockname()[1]))
        assert server.wait() == 1
    assert "cannot listen" in server.log
    assert len(server.log.strip().splitlines()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="replicas are found in /proc")
def test_replicas_that_start_end_when_their_parent_is_killed(start_server: StartServer) -> None:
    server = start_server(FER_WORKERS="2")
    assert wait_for(lambda: len(server.replicas) >= 2)
    server.process.kill()
    assert wait_for(lambda: is_refused(server))


def is_refused(server: Server) -> bool:
    try:
        httpx.get(f"{server.url}/livez", timeout=5)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        return False
    return False


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Wait; return False if the condition is still false after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_replacement_that_cannot_start_does_not_stop_the_others_but_the_end_of_the_parent_does(
    start_server: StartServer, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("a-key-of-some-length\n")
    server = start_server(FER_WORKERS="2", FER_API_KEYS_FILE=str(keys))
    assert wait_for(lambda: server.log.count("Application startup complete") == 2)
    keys.write_text("two words\n")
    killed = int(re.findall(r"Started server process \[(\d+)\]", server.log)[0])
    os.kill(killed, signal.SIGKILL)
    assert wait_for(lambda: "starting another in 1 s" in server.log)
    assert server.client.get("/readyz").status_code == 200
    keys.write_text("a-key-of-some-length\n")
    assert wait_for(lambda: server.log.count("Application startup complete") == 3)
    server.process.kill()
    assert wait_for(lambda: is_refused(server))


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of another process is set")
def test_a_replacement_without_resources_is_started_later(start_server: StartServer) -> None:
    import resource

    server = start_server(FER_WORKERS="2")
    assert wait_for(lambda: server.log.count("Application startup complete") == 2)
    parent = server.process.pid
    limits = resource.prlimit(parent, resource.RLIMIT_NOFILE)
    resource.prlimit(parent, resource.RLIMIT_NOFILE, (6, limits[1]))  # poll(2) needs some
    os.kill(int(re.findall(r"Started server process \[(\d+)\]", server.log)[0]), signal.SIGKILL)
    assert wait_for(lambda: "a replica cannot be started (Too many open files); starting another in" in server.log)
    assert server.client.get("/readyz").status_code == 200
    resource.prlimit(parent, resource.RLIMIT_NOFILE, limits)
    assert wait_for(lambda: server.log.count("Application startup complete") == 3)
    assert server.terminate() == 0


@pytest.mark.parametrize("seconds", [1.5, 2.2])
def test_a_signal_while_replicas_start_is_an_orderly_end(seconds: float) -> None:
    starting = ServerProcess(SETTINGS | {"FER_WORKERS": "2"})
    time.sleep(seconds)
    status = starting.terminate()
    assert status in {0, -signal.SIGTERM}  # the latter before the program has set its handlers
    assert "Traceback" not in starting.log


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("numbers", [(signal.SIGTERM, signal.SIGHUP), (signal.SIGINT,)])
def test_signals_again_and_again_are_an_orderly_end(
    start_server: StartServer, workers: str, numbers: tuple[signal.Signals, ...]
) -> None:
    server = start_server(FER_WORKERS=workers)
    while server.process.poll() is None:
        for number in numbers:
            server.process.send_signal(number)
        time.sleep(0.02)
    assert server.wait() == 0
    assert "Traceback" not in server.log


KILLED_WHEN_IT_SERVES = """
import multiprocessing.connection, os, signal
send = multiprocessing.connection.Connection.send
def report(self, value):
    send(self, value)
    if value is True:
        os.kill(os.getpid(), signal.SIGBUS)
multiprocessing.connection.Connection.send = report
"""


@pytest.mark.skipif(not hasattr(signal, "SIGBUS"), reason="the system has no such signal")
def test_replicas_that_end_again_and_again_end_the_parent(start_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(KILLED_WHEN_IT_SERVES)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    server = start_server(FER_WORKERS="5", PYTHONPATH=path)
    assert server.wait(60) == 1
    assert re.search(
        r"5 replicas failed in a row, the last: replica \d+ ended \(killed by SIGBUS\)",
        server.log.splitlines()[-1],
    )
    assert server.log.count("serving on") == 1


def test_a_folder_without_room_for_the_metrics_stops_the_start_with_one_line(
    start_server: StartServer, tmp_path: Path
) -> None:
    # A file in place of the folder: like a full one it takes nothing.
    (tmp_path / "full").touch()
    server = start_server(FER_WORKERS="3", PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "full"))
    assert server.wait() == 1
    (line,) = server.log.strip().splitlines()
    assert f"needs 1,248 KiB in {tmp_path / 'full'}" in line
    assert "TMPDIR" in line


HANDSHAKE = (
    b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no such signal")
def test_replicas_share_port_and_metrics_and_killed_ones_are_replaced_while_their_counts_stay(
    start_server: StartServer, astronaut_jpeg: bytes
) -> None:
    server = start_server(FER_WORKERS="2")
    assert server.client.get("/livez").status_code == 200, "a request waits until the replicas are ready"
    assert wait_for(lambda: server.log.count("Application startup complete") == 2)
    for _ in range(6):
        with httpx.Client(base_url=server.url, timeout=30) as client:
            assert client.post("/predict", content=astronaut_jpeg).status_code == 200
    scraped = server.client.get("/metrics").text
    assert 'fer_requests_total{code="200",route="/predict"} 6.0' in scraped
    assert "fer_model_info{" in scraped
    address = urlsplit(server.url)
    pids = [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", server.log)]
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as stream:
        stream.sendall(HANDSHAKE)
        assert wait_for(lambda: "fer_streams 1.0" in server.client.get("/metrics").text)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: server.log.count("Application startup complete") == 4)
    scraped = server.client.get("/metrics").text
    assert "fer_streams 0.0" in scraped
    assert 'fer_requests_total{code="200",route="/predict"} 6.0' in scraped
    assert server.log.count("killed by SIGKILL") == 2
    assert server.terminate() == 0
