"""Ray as processes: a head and a second node on this host, without a port of the outside."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from fer_service.distributed.cluster import ENVIRONMENT

from tests.e2e.server import ROOT

BIN = Path(sys.executable).parent
HOST = "127.0.0.1"
SECONDS = 120
TOKEN = "5f" * 32  # what Ray asks of everybody who reaches its ports


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def connects(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def environment(**more: str) -> dict[str, str]:
    paths = [str(ROOT / name) for name in ("service", "training", "benchmarks")] + [str(ROOT)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FER_", "RAY_", "COV_"))}
    settings = {"FER_DETECTOR": "own", "FER_DEVICE": "cpu", "FER_THREADS": "1", "OMP_NUM_THREADS": "1"}
    kept |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    # A proxy would send all that few clients ask to the replica of its own node.
    kept |= {"RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING": "0"}
    made = kept | ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(paths)} | settings | more
    return {name: value for name, value in made.items() if value}


def until(condition: Any, what: str) -> Any:
    """Ask until the answer is true."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what} did not come within {SECONDS} s")


class Node:
    """`ray start --block`, which ends its children when it ends."""

    def __init__(self, *options: str) -> None:
        self.agent, self.metrics = free_port(), free_port()
        ports = [f"--dashboard-agent-listen-port={self.agent}", f"--metrics-export-port={self.metrics}"]
        # A process less per node, whose messages nobody reads here.
        common = ["--num-cpus=1", "--include-log-monitor=false", *ports]
        self._process = subprocess.Popen(
            [BIN / "ray", "start", "--block", *common, *options],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def remove(self) -> None:
        """Kill all its processes at once, as a machine that loses its power."""
        for pid in [*descendants(self._process.pid), self._process.pid]:
            kill(pid)
        self._process.wait()


class Cluster:
    """Two nodes with a core each."""

    def __init__(self, folder: Path) -> None:
        self.port, self.dashboard, self.http = free_port(), free_port(), free_port()
        self.address = f"{HOST}:{self.port}"
        head = [f"--port={self.port}", f"--dashboard-port={self.dashboard}", f"--temp-dir={folder}"]
        head += [f"--ray-client-server-port={free_port()}", "--no-monitor"]
        self._head = head
        self._client = httpx.Client(timeout=10, headers={"Authorization": f"Bearer {TOKEN}"})
        self.nodes: list[Node] = []

    def start(self) -> None:
        self.nodes.append(Node("--head", *self._head))
        # The dashboard takes much longer, and another node does not need it.
        until(lambda: connects(self.port), "the head")
        self.add_node()
        self.wait_for_nodes()

    def add_node(self) -> None:
        self.nodes.append(Node(f"--address={self.address}"))

    def wait_for_nodes(self) -> None:
        until(lambda: len(self.alive()) == len(self.nodes), "the nodes")

    def alive(self) -> list[dict[str, Any]]:
        try:
            answer = self._client.get(f"http://{HOST}:{self.dashboard}/api/v0/nodes")
            found = answer.json()["data"]["result"]["result"] if answer.status_code == 200 else []
        except httpx.HTTPError:
            return []
        return [node for node in found if node["state"] == "ALIVE"]

    def run(self, program: str, *arguments: object) -> str:
        ended = subprocess.run(
            [BIN / program, *map(str, arguments)],
            env=environment(RAY_DASHBOARD_ADDRESS=f"http://{HOST}:{self.dashboard}"),
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def pids(self, title: str) -> list[int]:
        """Processes of the cluster with this title."""
        found = [pid for node in self.nodes for pid in descendants(node._process.pid)]
        return [pid for pid in found if title in command(pid)]

    def stop(self) -> None:
        self._client.close()
        for node in reversed(self.nodes):
            node.remove()


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def descendants(pid: int) -> list[int]:
    """Process ids below this one (proc(5))."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
