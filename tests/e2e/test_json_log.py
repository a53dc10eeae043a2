"""With FER_LOG_FORMAT=json every line is JSON, whoever writes it."""

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.server import Server, StartServer
from tests.e2e.test_process import wait_for
from tests.scenes import encode_image, two_faces


def entries(server: Server) -> list[dict[str, Any]]:
    """The log as objects."""
    found = [json.loads(line) for line in server.log.splitlines()]
    assert all(isinstance(entry, dict) for entry in found)
    return found


def damaged(content: bytes, draw: random.Random) -> bytes:
    """A file with some other bytes after its header."""
    changed = bytearray(content)
    for _ in range(draw.choice([1, 10, 100])):
        changed[draw.randrange(60, len(changed))] = draw.randrange(256)
    return bytes(changed[: draw.choice([None, -20, len(changed) // 2])])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_libraries_that_write_of_damaged_images_write_json(start_server: StartServer, workers: str) -> None:
    server = start_server(FER_LOG_FORMAT="json", FER_ACCESS_LOG="true", FER_WORKERS=workers)
    draw = random.Random(1)
    for suffix in (".jpg", ".png", ".tiff", ".gif", ".webp"):
        whole = encode_image(two_faces(), suffix)
        for _ in range(8):
            answer = server.client.post("/predict", content=damaged(whole, draw))
            assert answer.status_code in {200, 413, 422}
    assert server.terminate() == 0
    loggers = [entry["logger"] for entry in entries(server)]
    assert loggers.count("fer_service.observability.access_log") == 40


# Writes as libraries in C do, in pieces and to both, once the service has set up its output.
NOISE = """
import os, threading, time
before = os.fstat(2).st_ino
def write():
    while os.fstat(2).st_ino == before:
        time.sleep(0.01)
    while True:
        for number, piece in ((2, b"noise "), (2, b"\\xff in pieces\\n"), (1, b"on standard output\\n")):
            os.write(number, piece)
            time.sleep(0.002)
threading.Thread(target=write, daemon=True).start()
"""


def test_whatever_is_written_without_the_logger_is_json(start_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NOISE)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    server = start_server(FER_LOG_FORMAT="json", FER_ACCESS_LOG="true", PYTHONPATH=path)
    for _ in range(20):
        assert server.client.get("/livez").status_code == 200
    assert server.terminate() == 0
    found = entries(server)
    messages = {entry["message"] for entry in found if entry["logger"] == "stderr"}
    assert {"noise \\xff in pieces", "on standard output"} <= messages
    assert sum(entry["logger"] == "fer_service.observability.access_log" for entry in found) == 20


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no such signals")
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_the_last_words_of_a_crash_are_json(start_server: StartServer, number: signal.Signals) -> None:
    server = start_server(FER_LOG_FORMAT="json")
    os.kill(server.process.pid, number)
    server.process.wait(20)
    assert wait_for(lambda: "Fatal Python error" in server.log and "Extension modules" in server.log)
    assert any("most recent call first" in entry["message"] for entry in entries(server))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"FER_MODEL": "/nowhere.onnx"}, "/nowhere.onnx: no such file"),
        ({"FER_MODEL": "/nowhere.onnx", "FER_WORKERS": "2"}, "/nowhere.onnx: no such file"),
        ({"FER_UNKNOWN": "1"}, "unknown setting FER_UNKNOWN"),
    ],
)
def test_an_error_at_the_start_is_json(start_server: StartServer, settings: dict[str, str], text: str) -> None:
    server = start_server(FER_LOG_FORMAT="json", **settings)
    assert server.wait() == 1
    found = entries(server)
    assert text in found[0]["message"]
    assert not any("traceback" in entry for entry in found)


def test_a_defect_at_the_start_is_json(start_server: StartServer, tmp_path: Path) -> None:
    code = "import socket\ndef broken(*_): raise ArithmeticError('broken')\nsocket.socket.listen = broken\n"
    (tmp_path / "sitecustomize.py").write_text(code)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    server = start_server(FER_LOG_FORMAT="json", PYTHONPATH=path)
    assert server.wait() == 1
    assert "ArithmeticError: broken" in entries(server)[-1]["traceback"]
