"""Runs one row of abuse against a server, with a good client beside it, and ends the server under it."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fer_benchmarks.server_process import ServerProcess

from tests.campaign.costly_images import ordinary
from tests.campaign.good_client import Served, ask_steadily
from tests.campaign.rows.row import Row
from tests.campaign.watch import Watch, wait_for_exit
from tests.e2e.server import ROOT, SETTINGS

DEFAULTS = SETTINGS | {"FER_THREADS": "2"}
TIMEOUT = 5  # FER_REQUEST_TIMEOUT
EXIT_SECONDS = TIMEOUT + 5.0  # docs/operations.md, without a drain delay
OTHER_ADDRESS = "127.0.0.2"
_LEAD_SECONDS = 1.0  # until the abuse is at work
_END_SECONDS = 20.0


@dataclass
class RowResult:
    """What a row did.

    Attributes:
        row: The row.
        same: How a client of the same address was served.
        other: How a client of another address was served.
        attacked: Answers to the hostile clients by status.
        peak: Highest memory in MiB.
        status: Exit status; None if the server did not end.
        seconds: Seconds from SIGTERM to the end.
        log: The server's log.
        p99: Maximum 99th percentile of the good clients' seconds.
    """

    row: Row
    same: Served = field(default_factory=Served)
    other: Served = field(default_factory=Served)
    attacked: dict[str, int] = field(default_factory=dict)
    peak: float = 0.0
    status: int | None = None
    seconds: float = 0.0
    log: str = ""
    p99: float = 1.0

    @property
    def judged(self) -> list[Served]:
        """The clients that must be served."""
        return [self.same, self.other] if self.row.shares else [self.other]

    @property
    def faults(self) -> list[str]:
        """What does not hold."""
        refused = sum((served.outcomes for served in self.judged), start=type(self.same.outcomes)())
        del refused["200"]
        slowest = max(served.p99 for served in self.judged)
        errors = {status for status in self.attacked if status >= "500" and status not in {"503", "504"}}
        checks = {
            f"good client got {dict(refused)}": bool(refused),
            f"p99 {slowest:.2f} s": slowest > self.p99,
            f"hostile clients got {sorted(errors)}": bool(errors),
            f"{self.peak:.0f} MiB, more than {self.row.memory:.0f}": self.peak > self.row.memory,
            f"exit status {self.status}": self.status != 0,
            f"ended after {self.seconds:.1f} s": self.seconds > EXIT_SECONDS,
            "traceback in the log": "Traceback" in self.log,
        }
        return [text for text, broken in checks.items() if broken]


def run_row(row: Row, seconds: float, p99: float = 1.0) -> RowResult:
    """Run a row.

    Args:
        row: The row.
        seconds: Duration for each of the two good clients, one after the other.
        p99: Maximum 99th percentile of their seconds.
    """
    result = RowResult(row, p99=p99)
    with _attacker(row) as attacker, ServerProcess(DEFAULTS | {"FER_REQUEST_TIMEOUT": str(TIMEOUT)}) as server:
        assert attacker.stdin is not None
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == "ready\n"
        port, image = urlsplit(server.url).port or 0, ordinary()
        asyncio.run(ask_steadily(port, image, 0.2))
        with Watch(server) as watch:
            attacker.stdin.write(f"{port}\n")
            attacker.stdin.flush()
            time.sleep(_LEAD_SECONDS)
            result.same = asyncio.run(ask_steadily(port, image, seconds))
            result.other = asyncio.run(ask_steadily(port, image, seconds, OTHER_ADDRESS))
            result.status, result.seconds = wait_for_exit(server, EXIT_SECONDS + _END_SECONDS)
        output, _ = attacker.communicate(timeout=_END_SECONDS)
        assert attacker.returncode == 0, f"the attack of row {row.name!r} failed"
        result.attacked = json.loads(output)
        result.peak, result.log = watch.peak, server.log
    return result


@contextmanager
def _attacker(row: Row) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.campaign.attack", row.name]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for file in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                file.close()  # type: ignore[union-attr]
