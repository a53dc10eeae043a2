"""The service opens no connection, and works the same on a machine without a network."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.server import ROOT, Server, StartServer

# Python raises these audit events before it connects, resolves or sends (PEP 578).
AUDIT = """
import sys
def report(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        print("OUTGOING", event, arguments[1:], file=sys.stderr, flush=True)
sys.addaudithook(report)
"""
# Runs in a network namespace with a loopback and no route. The kernel counts packets that needed a route.
ALONE = """
import json, re, subprocess, sys
from pathlib import Path
from tests.e2e.server import Server

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
photo = Path(sys.argv[1]).read_bytes()
server = Server({"HOME": sys.argv[2]})
answers = [server.client.post("/predict", content=photo) for _ in range(3)]
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


def test_no_kind_of_request_opens_a_connection(
    start_server: StartServer, astronaut_jpeg: bytes, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(AUDIT)
    server = start_server(PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", ""), str(ROOT)]))
    for _ in range(3):
        assert server.client.post("/predict", content=astronaut_jpeg).status_code == 200
        assert server.client.post("/predict", content=b"no image").status_code == 422
        parts = [("file", astronaut_jpeg), ("file", b"none")]
        assert server.client.post("/predict/batch", files=parts).status_code == 200
        assert server.client.get("/nowhere").status_code == 404
        for path in ("/", "/model", "/metrics", "/readyz", "/livez", "/docs", "/openapi.json"):
            assert server.client.get(path).status_code == 200
    assert server.terminate() == 0
    assert [line for line in server.log.splitlines() if line.startswith("OUTGOING")] == []


def test_the_audit_reports_a_connection(tmp_path: Path) -> None:
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
    """Run a program in a network namespace without a route; return what it prints."""
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


def test_without_a_network_the_answers_are_the_same_and_nothing_is_sent(
    server: Server, astronaut_jpeg: bytes, tmp_path: Path
) -> None:
    photo, home = tmp_path / "photo.jpg", tmp_path / "home"
    photo.write_bytes(astronaut_jpeg)
    home.mkdir()
    found = json.loads(alone(ALONE, photo, home))
    assert found.pop("faces") == server.client.post("/predict", content=astronaut_jpeg).json()["faces"]
    # onnxruntime's telemetry would leave a device identity in the user's home.
    assert found == {"statuses": [200], "others": [200] * 4, "ended": 0, "unroutable": 0, "left": []}


def test_the_kernel_counts_a_connection_without_a_route() -> None:
    assert int(alone(PROBE)) >= 1
