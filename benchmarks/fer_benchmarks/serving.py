"""The service against what this machine could do, and against other servers around the same line.

    python -m fer_benchmarks.serving --out serving.json       # kernels, limit, service
    python -m fer_benchmarks.serving --peers .peers/          # and the peers, in their own environments

Everything is measured turn by turn in one run, and told as ratios: absolute times drift on shared machines.
"""

import argparse
import json
import socket
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fer_service.analysis.analyzer import Options
from fer_service.contract.settings import Settings, load_settings
from rich.console import Console
from rich.table import Table

from fer_benchmarks.images import images
from fer_benchmarks.load import Result
from fer_benchmarks.peers.environments import PEERS, python_of
from fer_benchmarks.plot import write_plot
from fer_benchmarks.run import as_json, benchmark, environment_of, fer_server
from fer_benchmarks.server import Server, multipart
from fer_benchmarks.tables import print_report

_ROOT = Path(__file__).parents[2]
_CONCURRENCY = 8
_TURNS = 7
_IDLE_SECONDS = 2.0
_START_SECONDS = 240


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    parser.add_argument("--quick", action="store_true", help="only see that it works: one image, moments")
    parser.add_argument("--peers", type=Path, help="measure the peers too; their environments are made here")
    parser.add_argument("--out", type=Path, help="the figures, as JSON")
    parser.add_argument("--plot", type=Path, help="latency against throughput, as PNG")
    arguments = parser.parse_args()
    console, settings = Console(width=120), load_settings()
    seconds = 0.2 if arguments.quick else arguments.seconds
    chosen = dict(list(images().items())[: 1 if arguments.quick else None])
    reports = []
    for name, (data, detect) in chosen.items():
        reports.append(benchmark(name, data, settings, Options(detect=detect), seconds))
        print_report(reports[-1], console)
    figures: dict[str, Any] = {"service": [as_json(report) for report in reports]}
    if arguments.peers:
        data, _ = next(iter(chosen.values()))
        figures["peers"] = compared(data, settings, arguments.peers, seconds)
        print_peers(figures["peers"], console)
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if arguments.plot:
        write_plot(reports, arguments.plot)


def compared(data: bytes, settings: Settings, folder: Path, seconds: float) -> dict[str, dict[str, Any]]:
    """The service and each peer under the same load of multipart requests, in turns; medians over the turns.

    All of them run all the time, so that a turn is over within moments and finds the machine in one state; what
    they take while others are measured is theirs to answer for.
    """
    body, content_type = multipart(data)
    with ExitStack() as running:
        servers: dict[str, Server] = {}
        for name in ("fer-service", *PEERS):
            servers[name] = running.enter_context(server_of(name, settings, folder))
            wait_until_it_answers(name, servers[name], body, content_type)
            servers[name].load(body, content_type=content_type, seconds=1, concurrency=_CONCURRENCY)
        turns = [
            {
                name: server.load(body, content_type=content_type, seconds=seconds, concurrency=_CONCURRENCY)
                for name, server in servers.items()
            }
            for _ in range(_TURNS)
        ]
        return {name: _medians(name, turns) | usage_of(server) for name, server in servers.items()}


def usage_of(server: Server) -> dict[str, float]:
    """Resident MiB, and CPU seconds a second while nobody asks."""
    usage, idle = server.usage(), server.idle_cpu(_IDLE_SECONDS)
    return {"memory": usage.memory if usage else 0.0, "idle_cpu": idle or 0.0}


def server_of(name: str, settings: Settings, folder: Path) -> Server:
    """The service or a peer, ready to be started; both read the same FER_ variables."""
    if name == "fer-service":
        return fer_server(settings)
    port = _free_port()
    variables = {name: value for name, value in environment_of(settings).items() if name != "FER_THREADS"}
    module = PEERS[name][0]
    # They tell of being ready each in its own way, so that they are asked instead.
    return Server(
        ["sh", "-c", f"echo http://127.0.0.1:{port}; exec {python_of(name, folder)} -m benchmarks.peers.{module}"],
        variables | {"PORT": str(port), "PYTHONPATH": str(_ROOT), "HOME": tempfile.gettempdir()},
    )


def wait_until_it_answers(name: str, server: Server, body: bytes, content_type: str) -> None:
    """Ask until an image is answered.

    Raises:
        TimeoutError: none was within four minutes.
    """
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        try:
            if server.load(body, content_type=content_type, seconds=0.5, concurrency=1).statuses.get(200):
                return
        except subprocess.CalledProcessError:  # nobody listens yet
            time.sleep(0.2)
    raise TimeoutError(f"{name} answers no image")


def print_peers(peers: dict[str, dict[str, Any]], console: Console) -> None:
    """The comparison as a table."""
    title = f"the same line, multipart, {_CONCURRENCY} connections"
    table = Table(
        "server", "images/s", "service ÷ it", "p50 ms", "p99 ms", "resident MiB", "idle CPU %", title=title
    )
    for name, figures in peers.items():
        cells = [f"{figures[key]:.1f}" for key in ("rate", "p50", "p99", "memory")]
        ratio = f"{figures['service / it']:.2f}"
        table.add_row(name, cells[0], ratio, *cells[1:], f"{figures['idle_cpu'] * 100:.1f}")
    console.print(table)


def _medians(name: str, turns: list[dict[str, Result]]) -> dict[str, float]:
    results = [turn[name] for turn in turns]
    times = [result.milliseconds or [float("inf")] * 3 for result in results]
    return {
        "rate": statistics.median(result.rate for result in results),
        "service / it": statistics.median(turn["fer-service"].rate / max(turn[name].rate, 1e-9) for turn in turns),
        "p50": statistics.median(quantiles[0] for quantiles in times),
        "p99": statistics.median(quantiles[2] for quantiles in times),
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


if __name__ == "__main__":
    main()
