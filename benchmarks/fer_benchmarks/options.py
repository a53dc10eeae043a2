"""Measure what each option of a request costs: CPU time of a server per image, against the plain request.

All kinds of requests take turns, round after round, on one server. The ratio to the plain request is the median of
the rounds, so the speed of the machine matters little.

    python -m fer_benchmarks.options --detector own
"""

import argparse
import base64
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from rich.console import Console
from rich.table import Table

from fer_benchmarks.images import make_images
from fer_benchmarks.server_process import ServerProcess

PLAIN: Final = "plain request"
IMAGES: Final = ("640×480, one face", "1280×720, seven faces")
_RAW: Final = {"Content-Type": "application/octet-stream"}
_JPEG: Final = _RAW | {"Accept": "image/jpeg"}
Ask = Callable[[httpx.Client], httpx.Response]


@dataclass
class Cost:
    """CPU milliseconds per image of one kind of request, one value per round."""

    milliseconds: list[float] = field(default_factory=list)

    def ratio(self, plain: "Cost") -> float:
        """Return the median over the rounds of the ratio to the plain request."""
        return statistics.median(
            own / other for own, other in zip(self.milliseconds, plain.milliseconds, strict=True)
        )


def requests_for(data: bytes, faces: Sequence[Mapping[str, Any]]) -> dict[str, Ask]:
    """Return the kinds of requests by name, the plain one first.

    Args:
        data: An encoded image.
        faces: What the plain request answers for it.
    """

    def raw(headers: Mapping[str, str] = _RAW, **query: Any) -> Ask:
        return lambda client: client.post("/predict", content=data, headers=headers, params=query)

    text = base64.b64encode(data).decode()
    tensor = {"name": "images", "datatype": "BYTES", "shape": [1], "data": [text]}
    asked = {"img": text, "actions": ["emotion"]}
    return {
        PLAIN: raw(),
        "multipart": lambda client: client.post("/predict", files={"file": data}),
        "base64 in JSON": lambda client: client.post("/predict", json={"image": text}),
        "boxes": raw(boxes=json.dumps([face["box"] for face in faces])),
        "session=new": raw(session="new"),
        "/analyze": lambda client: client.post("/analyze", json=asked),
        "/v2 … /infer": lambda client: client.post("/v2/models/emotion/infer", json={"inputs": [tensor]}),
        "draw=box, JPEG": raw(_JPEG),
        "draw=none, JPEG": raw(_JPEG, draw="none"),
        "draw=pixelate, JPEG": raw(_JPEG, draw="pixelate"),
        "draw=blur, JPEG": raw(_JPEG, draw="blur"),
    }


def measure(server: ServerProcess, data: bytes, *, rounds: int, seconds: float) -> dict[str, Cost]:
    """Return the cost of each kind of request.

    Args:
        server: A running server.
        data: An encoded image with a face.
        rounds: Number of rounds.
        seconds: CPU seconds of each kind per round, at least.

    Raises:
        RuntimeError: a request is refused, or the system has no /proc.
    """
    with httpx.Client(base_url=server.url, timeout=60) as client:
        faces = client.post("/predict", content=data, headers=_RAW).raise_for_status().json()["faces"]
        kinds = requests_for(data, faces)
        costs = {name: Cost() for name in kinds}
        for _ in range(rounds):
            for name, ask in kinds.items():
                before, count = _cpu(server), 0
                while (used := _cpu(server) - before) < seconds:
                    response = ask(client)
                    if not response.is_success:
                        raise RuntimeError(f"{name}: {response.status_code} {response.text}")
                    count += 1
                costs[name].milliseconds.append(1000 * used / count)
    return costs


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default="own", help="Detector, as in FER_DETECTOR.")
    parser.add_argument("--rounds", type=int, default=9, help="Number of rounds.")
    parser.add_argument("--seconds", type=float, default=0.5, help="CPU seconds of each kind per round.")
    arguments = parser.parse_args()
    images = make_images()
    settings = {"FER_PORT": "0", "FER_DETECTOR": arguments.detector, "FER_THREADS": "1", "FER_DEVICE": "cpu"}
    with ServerProcess(settings) as server:
        found = {
            name: measure(server, images[name].data, rounds=arguments.rounds, seconds=arguments.seconds)
            for name in IMAGES
        }
    table = Table("request", *(f"{name}: {part}" for name in IMAGES for part in ("CPU ms", "ratio")))
    for kind in found[IMAGES[0]]:
        cells = [
            cell
            for costs in found.values()
            for cell in (
                f"{statistics.median(costs[kind].milliseconds):.1f}",
                f"{costs[kind].ratio(costs[PLAIN]):.2f}",
            )
        ]
        table.add_row(kind, *cells)
    Console(width=200).print(table)


def _cpu(server: ServerProcess) -> float:
    usage = server.usage()
    if usage is None:
        raise RuntimeError("cannot read the CPU time of a process: the system has no /proc")
    return usage.cpu


if __name__ == "__main__":
    main()
