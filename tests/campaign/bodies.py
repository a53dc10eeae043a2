"""Many damaged requests for one server, over connections that stay open: `python -m tests.campaign.bodies`.

The process reads a plan from standard input and prints what it found as JSON.
"""

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field

from tests.campaign.client import HOST
from tests.campaign.requests import Request, damaged_request
from tests.e2e.server import ROOT

_PATIENCE = 60.0  # seconds for the answer to a sound request
_WAIT = 1.0  # seconds for the answer to a request whose end the service may not see
_ALLOWED = re.compile(r"[1-4]\d\d|503|504")
_MAX_FAULTS = 50


@dataclass(frozen=True)
class Plan:
    """The requests of one process.

    Attributes:
        port: Port of the server.
        seed: Seed of the requests.
        numbers: First number, number after the last, and step.
        seconds: Maximum duration.
        connections: Connections at the same time.
    """

    port: int
    seed: int
    numbers: tuple[int, int, int]
    seconds: float
    connections: int = 4


@dataclass
class Found:
    """The answers.

    Attributes:
        outcomes: Number of requests by kind and status, such as "image 422".
        faults: Requests without a proper answer: their number and what came.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Number of requests."""
        return self.outcomes.total()


class KeptConnection:
    """A connection that is made anew when the service has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: socket.socket | None = None

    def ask(self, request: Request) -> str:
        """Send a request; return the status, or what came instead of one.

        A request without a sound end gets a connection of its own.
        """
        if not request.framed:
            self.close()
        if self._open is None:
            self._open = socket.create_connection((HOST, self._port))
        self._open.settimeout(_PATIENCE if request.framed else _WAIT)
        try:
            # A refusal may come, and the connection may be closed, before all is sent.
            self._open.sendall(request.content)
        except OSError as error:
            return type(error).__name__
        outcome, closes = self._answer()
        if closes or not request.framed:
            self.close()
        return outcome

    def close(self) -> None:
        """Close it."""
        if self._open is not None:
            self._open.close()
        self._open = None

    def _answer(self) -> tuple[str, bool]:
        assert self._open is not None
        received = b""
        try:
            while b"\r\n\r\n" not in received:
                piece = self._open.recv(65536)
                if not piece:
                    return ("closed" if received else "closed without an answer"), True
                received += piece
            head, _, body = received.partition(b"\r\n\r\n")
            head = head.lower()
            length = re.search(rb"\r\ncontent-length: (\d+)", head)
            left = int(length[1]) - len(body) if length else 0
            while left > 0:
                piece = self._open.recv(65536)
                if not piece:
                    return "closed within an answer", True
                left -= len(piece)
        except TimeoutError:
            return "no answer", True
        except OSError as error:
            return type(error).__name__, True
        return head[9:12].decode("latin-1"), b"\r\nconnection: close" in head or left < 0


def send(plan: Plan) -> Found:
    """Send the requests of a plan."""
    found, lock = Found(), threading.Lock()
    until = time.monotonic() + plan.seconds
    numbers = iter(range(*plan.numbers))

    def run() -> None:
        connection = KeptConnection(plan.port)
        while time.monotonic() < until and len(found.faults) < _MAX_FAULTS:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            request = damaged_request(plan.seed, number)
            outcome = connection.ask(request)
            # Nobody can tell a request whose head has no end from one that is still on its way.
            proper = _ALLOWED.fullmatch(outcome) or (outcome == "no answer" and not request.framed)
            with lock:
                found.outcomes[f"{request.kind} {outcome}"] += 1
                if not proper:
                    found.faults.append(f"{plan.seed} {number}: {request.kind}, {outcome}")
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(plan.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def send_from_processes(port: int, seed: int, first: int, count: int, seconds: float, processes: int) -> Found:
    """Send requests `first` to `first + count - 1` from several processes."""
    found = Found()
    pipe = subprocess.PIPE
    started = []
    for index in range(processes):
        plan = Plan(port, seed, (first + index, first + count, processes), seconds)
        command = [sys.executable, "-m", "tests.campaign.bodies"]
        process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(plan)))
        process.stdin.close()
        process.stdin = None
        started.append(process)
    for process in started:
        output, _ = process.communicate(timeout=seconds + 2 * _PATIENCE)
        content = json.loads(output)
        found.outcomes.update(content["outcomes"])
        found.faults += content["faults"]
    return found


def main() -> None:
    """Run the program."""
    content = json.load(sys.stdin)
    print(json.dumps(vars(send(Plan(**content)))))


if __name__ == "__main__":
    main()
