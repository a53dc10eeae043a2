"""Whether the server's memory stays where it is: resident size over many requests of all sizes, and its slope.

    python -m fer_benchmarks.memory --requests 50000 --out memory.json

The benchmark's images take turns, so that every size comes again and again; the first tenth warms up and is left
out of the slope.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from fer_service.contract.settings import load_settings

from fer_benchmarks.images import images
from fer_benchmarks.run import fer_server

_CONCURRENCY = 8
_TURN_SECONDS = 1.0


@dataclass(frozen=True)
class Growth:
    """Resident memory over a run.

    Attributes:
        requests: Answered so far, at each reading.
        megabytes: Resident MiB at each.
        peak: Most MiB at any moment.
        slope: MiB a thousand requests, least squares over all but the first tenth of the run.
    """

    requests: list[int]
    megabytes: list[float]
    peak: float
    slope: float


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--out", type=Path, help="the readings, as JSON")
    arguments = parser.parse_args()
    found = growth(arguments.requests, images())
    first, last = found.megabytes[0], found.megabytes[-1]
    print(
        f"{found.requests[-1]} requests: {first:.0f} MiB after {found.requests[0]}, {last:.0f} MiB at the end, "
        f"{found.peak:.0f} at most; {found.slope:+.3f} MiB a thousand requests"
    )
    if arguments.out:
        arguments.out.write_text(json.dumps(asdict(found)) + "\n", encoding="utf-8")


def growth(count: int, chosen: dict[str, tuple[bytes, bool]], turn_seconds: float = _TURN_SECONDS) -> Growth:
    """Ask the real server so many times and read its memory after every turn of all images.

    Args:
        count: Requests, at least.
        chosen: Images, as `images` gives them.
        turn_seconds: How long each image is asked about in a turn.

    Raises:
        StartError: the server does not start.
        RuntimeError: it answers nothing, or its system does not tell its memory.
    """
    requests: list[int] = []
    megabytes: list[float] = []
    peak, answered = 0.0, 0
    with fer_server(load_settings()) as server:
        while answered < count:
            before = answered
            for data, detect in chosen.values():
                path = "/predict" if detect else "/predict?detect=false"
                load = server.load(data, path=path, seconds=turn_seconds, concurrency=_CONCURRENCY)
                answered += load.statuses.get(200, 0)
            usage = server.usage()
            if usage is None or answered == before:
                raise RuntimeError("the server answers no image, or this system does not tell its memory")
            requests.append(answered)
            megabytes.append(round(usage.memory, 2))
            peak = usage.peak
    return Growth(requests, megabytes, round(peak, 2), round(slope(requests, megabytes), 4))


def slope(requests: list[int], megabytes: list[float]) -> float:
    """MiB a thousand requests, by least squares over the readings after the first tenth; 0 with fewer than two."""
    settled = [at for at, answered in enumerate(requests) if answered > requests[-1] / 10]
    if len(settled) < 2:
        return 0.0
    thousands = np.array([requests[at] for at in settled]) / 1000
    return float(np.polyfit(thousands, [megabytes[at] for at in settled], 1)[0])


if __name__ == "__main__":
    main()
