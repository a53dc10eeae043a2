"""The service opens no connection to anywhere, and misses none: without a route it works the same."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import StartServer

ROOT = Path(__file__).parents[2]
# An hour of a request a second, of which every kind has its share.
REQUESTS = 3600
# What the interpreter calls when anything is about to be connected, resolved or sent to (PEP 578).
AUDIT = """
import sys
def tell(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        print("OUTGOING", event, arguments[1:], file=sys.stderr, flush=True)
sys.addaudithook(tell)
"""
# Runs in a network of its own, which has a loopback and no route; the kernel counts what would have needed one.
ALONE = """
import json, re, subprocess, sys
from pathlib import Path
from tests.e2e.conftest import Server

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
photo = Path(sys.argv[1]).read_bytes()
server = Server({"HOME": sys.argv[2]})
answers = [server.client.post("/predict", content=photo) for _ in range(20)]
others = [server.client.get(path).status_code for path in ("/model", "/metrics", "/docs", "/readyz")]
ended = server.terminate()
heads, numbers = re.findall(r"^Ip: (.*)$", Path("/proc/net/snmp").read_text(), re.MULTILINE)
unroutable = dict(zip(heads.split(), numbers.split()))["OutNoRoutes"]
print(json.dumps({"statuses": sorted({answer.status_code for answer in answers}), "others": others, "ended": ended,
                  "unroutable": int(unroutable), "faces": answers[0].json()["faces"],
                  "left": [str(path) for path in Path(sys.argv[2]).rglob("*") if path.is_file()]}))
"""
PROBE = """
import re, socket, subprocess
from pathlib import Path
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
try:
    socket.create_connection(("192.0.2.1", 80), timeout=1)
except OSError:
    pass
heads, numbers = re.findall(r"^Ip: (.*)$", Path("/proc/net/snmp").read_text(), re.MULTILINE)
print(dict(zip(heads.split(), numbers.split()))["OutNoRoutes"])
"""


def test_an_hours_requests_open_no_connection(
    start_server: StartServer, astronaut_jpeg: bytes, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(AUDIT)
    server = start_server(PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
    small = server.client.post("/predict", content=astronaut_jpeg)
    assert small.status_code == 200
    for number in range(REQUESTS):
        kind = number % 100
        if kind == 0:
            assert server.client.post("/predict", content=astronaut_jpeg).status_code == 200
        elif kind == 1:
            assert server.client.post("/predict", content=b"no image").status_code == 422
        elif kind == 2:
            parts = [("file", astronaut_jpeg), ("file", b"none")]
            assert server.client.post("/predict/batch", files=parts).status_code == 200
        elif kind == 3:
            assert server.client.get("/nowhere").status_code == 404
        else:
            path = ("/model", "/metrics", "/readyz", "/livez", "/docs", "/openapi.json")[number % 6]
            assert server.client.get(path).status_code == 200
    assert server.terminate() == 0
    assert [line for line in server.log.splitlines() if line.startswith("OUTGOING")] == []


def test_that_audit_would_notice(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(AUDIT)
    code = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "OUTGOING socket.connect" in ended.stderr


def alone(code: str, *arguments: object) -> str:
    """What a program prints that runs in a network without a route."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        pytest.skip("unshare and ip are needed for a network without a route")
    command = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--user", "--map-root-user"]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no network namespaces")
    ended = subprocess.run(
        [*command, sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_without_a_route_it_works_the_same_and_tries_none(
    start_server: StartServer, astronaut_jpeg: bytes, tmp_path: Path
) -> None:
    photo, home = tmp_path / "photo.jpg", tmp_path / "home"
    photo.write_bytes(astronaut_jpeg)
    home.mkdir()
    told = json.loads(alone(ALONE, photo, home))
    with_network = start_server().client.post("/predict", content=astronaut_jpeg).json()["faces"]
    assert told.pop("faces") == with_network
    # A device's identity in the user's home is what onnxruntime leaves there that means to send something.
    assert told == {"statuses": [200], "others": [200] * 4, "ended": 0, "unroutable": 0, "left": []}


def test_a_try_would_be_counted() -> None:
    assert int(alone(PROBE)) >= 1
