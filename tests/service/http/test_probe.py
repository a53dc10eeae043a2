import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from fer_service.http.probe import probe

ROOT = Path(__file__).parents[3]
HEAVY = ("cv2", "onnxruntime", "numpy", "fastapi", "pydantic")


class Ready(HTTPServer):
    """Answers /readyz with the status it is told."""

    status = 200


class Handler(BaseHTTPRequestHandler):
    server: Ready

    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(b"the problem")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Ready]:
    with Ready(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("host", [None, "127.0.0.1", "0.0.0.0", ""])
def test_a_ready_service_is_found_wherever_it_listens(server: Ready, host: str | None) -> None:
    environment = {"FER_PORT": str(server.server_port)} | ({} if host is None else {"FER_HOST": host})
    assert probe(environment) == ""


def test_empty_variables_count_as_unset() -> None:
    assert "127.0.0.1:8000" in (probe({"FER_HOST": "", "FER_PORT": ""}) or "127.0.0.1:8000")


def test_the_link_of_a_service_in_kubernetes_is_no_port() -> None:
    assert probe({"FER_HOST": "no.invalid", "FER_PORT": "tcp://10.0.0.1:80"}).startswith(
        "no answer from no.invalid:8000"
    )


def test_a_service_that_is_not_ready_says_why(server: Ready) -> None:
    server.status = 503
    assert probe({"FER_PORT": str(server.server_port)}) == "503 the problem"


def test_nobody_there_is_not_ready() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        assert probe({"FER_PORT": str(port)}).startswith(f"no answer from 127.0.0.1:{port}: ")


@pytest.mark.parametrize("port", ["http", "-1", "70000"])
def test_a_port_that_is_none_is_not_ready(port: str) -> None:
    assert probe({"FER_PORT": port})


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1)])
def test_the_exit_status_is_what_a_health_check_wants(server: Ready, status: int, expected: int) -> None:
    server.status = status
    command = [sys.executable, "-m", "fer_service.http.probe"]
    environment = {"FER_PORT": str(server.server_port)}
    ended = subprocess.run(command, env=environment, cwd=ROOT, check=False, capture_output=True, text=True)
    assert ended.returncode == expected
    assert "Traceback" not in ended.stderr


def test_it_is_light_enough_to_run_every_few_seconds() -> None:
    code = f"import sys, fer_service.http.probe; print([name for name in {HEAVY} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert ended.stdout.strip() == "[]"
