"""Compare the service with other model servers around the same pipeline.

    python -m fer_benchmarks.peers.servers --folder .peers/ --out servers.json

All servers run the whole time and are measured in rotation, so a change of the machine's speed affects all of
them. Each is set up as its documentation advises for a machine with few cores.
"""

import argparse
import json
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from fer_service.contract.errors import StartError
from fer_service.contract.settings import Settings, load_settings
from rich.console import Console
from rich.table import Table

from fer_benchmarks.images import make_images
from fer_benchmarks.load import LoadGenerator, LoadResult, multipart
from fer_benchmarks.peers.environments import PYTHON_PATH, SERVERS, server_python
from fer_benchmarks.server_process import ServerProcess
from fer_benchmarks.service import MeasuredServer, running_service, service_environment

SERVICE = "fer-service"
_IMAGE = "640×480, one face"
_CONCURRENCY = 8
_ROUNDS = 7
_IDLE_SECONDS = 2.0
_START_SECONDS = 240.0


@dataclass(frozen=True)
class ServerFigures:
    """Medians over the rounds.

    Attributes:
        rate: Images per second.
        ratio: Rate of the service divided by this server's rate.
        p50: Median latency in milliseconds.
        p99: 99th percentile of the latency in milliseconds.
        memory: Resident memory in MiB; 0 if unknown.
        idle_cpu: CPU seconds per second without requests; 0 if unknown.
    """

    rate: float
    ratio: float
    p50: float
    p99: float
    memory: float = 0.0
    idle_cpu: float = 0.0


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="Folder for the servers' environments.")
    parser.add_argument("--seconds", type=float, default=1.5, help="Duration of each measurement.")
    parser.add_argument("--out", type=Path, help="Write the figures to this JSON file.")
    arguments = parser.parse_args()
    figures = compare(make_images()[_IMAGE].data, load_settings(), arguments.folder.resolve(), arguments.seconds)
    print_figures(figures, Console(width=120))
    if arguments.out:
        content = {name: asdict(server) for name, server in figures.items()}
        arguments.out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def compare(image: bytes, settings: Settings, folder: Path, seconds: float) -> dict[str, ServerFigures]:
    """Measure the service and each peer with multipart requests, in rotation."""
    body, content_type = multipart(image)
    with ExitStack() as stack:
        servers = {SERVICE: stack.enter_context(running_service(settings))}
        for name in SERVERS:
            servers[name] = stack.enter_context(running_peer(name, settings, folder))
            wait_until_answered(name, servers[name], body, content_type)
        for server in servers.values():
            server.load.run(body, content_type=content_type, seconds=1, concurrency=_CONCURRENCY)
        rounds = [
            {
                name: server.load.run(body, content_type=content_type, seconds=seconds, concurrency=_CONCURRENCY)
                for name, server in servers.items()
            }
            for _ in range(_ROUNDS)
        ]
        return {name: server_figures(name, rounds, server) for name, server in servers.items()}


@contextmanager
def running_peer(name: str, settings: Settings, folder: Path) -> Iterator[MeasuredServer]:
    """Run a peer with the service's settings, except the number of threads."""
    variables = {key: value for key, value in service_environment(settings).items() if key != "FER_THREADS"}
    variables |= {"PORT": str(_free_port()), "PYTHONPATH": PYTHON_PATH, "HOME": tempfile.gettempdir()}
    command = [str(server_python(name, folder)), "-m", f"fer_benchmarks.peers.{SERVERS[name][0]}"]
    with ServerProcess(variables, command, url=f"http://127.0.0.1:{variables['PORT']}") as process:
        yield MeasuredServer(process, LoadGenerator(process.url))


def wait_until_answered(name: str, server: MeasuredServer, body: bytes, content_type: str) -> None:
    """Send an image again and again until the server answers it.

    Raises:
        StartError: The server ended, or does not answer within four minutes.
    """
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        try:
            if server.load.run(body, content_type=content_type, seconds=0.5, concurrency=1).answered:
                return
        except StartError:  # the port is still closed
            time.sleep(0.2)
        if server.process.process.poll() is not None:
            raise StartError(f"{name} ended: {server.process.log[-500:].strip() or 'no output'}")
    raise StartError(f"{name} did not answer an image within {_START_SECONDS:.0f} seconds")


def server_figures(
    name: str, rounds: Sequence[dict[str, LoadResult]], server: MeasuredServer, idle_seconds: float = _IDLE_SECONDS
) -> ServerFigures:
    """Return the medians of a server, with its memory and idle CPU now."""
    results = [one[name] for one in rounds]
    latencies = [result.milliseconds or [float("inf")] * 3 for result in results]
    usage = server.process.usage()
    return ServerFigures(
        rate=statistics.median(result.rate for result in results),
        ratio=statistics.median(one[SERVICE].rate / max(one[name].rate, 1e-9) for one in rounds),
        p50=statistics.median(quantiles[0] for quantiles in latencies),
        p99=statistics.median(quantiles[2] for quantiles in latencies),
        memory=usage.memory if usage else 0.0,
        idle_cpu=server.process.idle_cpu(idle_seconds) or 0.0,
    )


def print_figures(servers: dict[str, ServerFigures], console: Console) -> None:
    """Print the comparison as a table."""
    table = Table(
        "server", "images/s", "service ÷ server", "p50 ms", "p99 ms", "resident MiB", "idle CPU %",
        title=f"same pipeline, multipart, {_CONCURRENCY} connections",
    )  # fmt: skip
    for name, figures in servers.items():
        numbers = (figures.p50, figures.p99, figures.memory, figures.idle_cpu * 100)
        cells = [f"{number:.1f}" for number in numbers]
        table.add_row(name, f"{figures.rate:.1f}", f"{figures.ratio:.2f}", *cells)
    console.print(table)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


if __name__ == "__main__":
    main()
