"""A replica is killed under load: what it held is lost, and nothing else."""

import asyncio
import os
import re
import signal
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
from fer_benchmarks.load import LoadGenerator
from fer_benchmarks.server_process import ServerProcess

from tests.campaign.abuse import DEFAULTS
from tests.campaign.client import Service, request
from tests.campaign.costly_images import ordinary

CONNECTIONS = 8
HELD = 6  # idle uploads, and as many streams
_SECONDS = 6.0
_PATIENCE = 30.0
_GAUGES = ("fer_requests_in_flight", "fer_streams", "fer_held_bytes", "fer_queue_depth")


@dataclass
class ReplicasResult:
    """What the kill did.

    Attributes:
        statuses: Number of requests by status; 0 is a broken connection.
        faults: What does not hold.
    """

    statuses: dict[int, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def kill_a_replica() -> ReplicasResult:
    """Kill one of two replicas while both answer requests and hold uploads and streams."""
    result = ReplicasResult()
    with ServerProcess(DEFAULTS | {"FER_WORKERS": "2"}) as server:
        _wait(lambda: server.log.count("Application startup complete") == 2)
        asyncio.run(_load(server, result))
        replaced = _wait(lambda: server.log.count("Application startup complete") == 3)
        scraped = httpx.get(f"{server.url}/metrics", timeout=_PATIENCE).text
        gauges = {name: _value(scraped, name) for name in _GAUGES}
        counted = _value(scraped, r'fer_requests_total\{code="200",route="/predict"\}')
        server.process.terminate()
        status, log = server.wait(), server.log
    answered, lost = result.statuses.get(200, 0), result.statuses.get(0, 0)
    checks = {
        f"answers {result.statuses}": bool(set(result.statuses) - {0, 200}) or not answered,
        f"{lost} requests lost on {CONNECTIONS} connections": lost > CONNECTIONS,
        f"gauges {gauges}": any(gauges.values()),
        f"{counted:.0f} requests counted, {answered} answered": not answered <= counted <= answered + CONNECTIONS,
        "the replica was not replaced": not replaced,
        f"exit status {status}": status != 0,
        "traceback in the log": "Traceback" in log,
    }
    result.faults += [text for text, broken in checks.items() if broken]
    return result


async def _load(server: ServerProcess, result: ReplicasResult) -> None:
    service = Service(urlsplit(server.url).port or 0)
    generator = LoadGenerator(server.url)
    loading = asyncio.create_task(
        asyncio.to_thread(generator.run, ordinary(), seconds=_SECONDS, concurrency=CONNECTIONS)
    )
    held = [await service.stream() for _ in range(HELD)]
    for _ in range(HELD):
        held.append(await service.connect())
        await held[-1].send(request("POST", "/predict", b"abc", length=1000))
    await asyncio.sleep(_SECONDS / 2)
    os.kill(int(re.findall(r"Started server process \[(\d+)\]", server.log)[0]), signal.SIGKILL)
    result.statuses = (await loading).statuses
    for connection in held:
        await connection.__aexit__()


def _value(scraped: str, name: str) -> float:
    return sum(float(value) for value in re.findall(rf"^{name} (\S+)$", scraped, re.MULTILINE))


def _wait(condition: object) -> bool:
    assert callable(condition)
    until = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
