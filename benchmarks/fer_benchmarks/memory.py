"""Measure the growth of the server's memory over many requests.

    python -m fer_benchmarks.memory --requests 50000 --out memory.json

The test images alternate, so every size occurs again and again. The first tenth is warm-up and does not count.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from fer_service.contract.settings import load_settings

from fer_benchmarks.images import SampleImage, make_images
from fer_benchmarks.load import Load
from fer_benchmarks.server_process import Usage
from fer_benchmarks.service import running_service

_CONCURRENCY = 8
_SECONDS_PER_IMAGE = 1.0


@dataclass(frozen=True)
class MemoryGrowth:
    """Resident memory over a run.

    Attributes:
        requests: Requests answered so far, at each reading.
        megabytes: Resident memory in MiB, at each reading.
        peak: Peak of the resident memory in MiB.
        slope: MiB per thousand requests, least squares without the first tenth of the run.
    """

    requests: list[int]
    megabytes: list[float]
    peak: float
    slope: float


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50_000, help="Minimum number of requests.")
    parser.add_argument("--out", type=Path, help="Write the readings to this JSON file.")
    arguments = parser.parse_args()
    with running_service(load_settings()) as server:
        growth = measure_growth(
            server.load, server.process.usage, make_images().values(), arguments.requests, _SECONDS_PER_IMAGE
        )
    print(
        f"{growth.requests[-1]} requests: {growth.megabytes[0]:.0f} MiB after {growth.requests[0]}, "
        f"{growth.megabytes[-1]:.0f} MiB at the end, peak {growth.peak:.0f} MiB; "
        f"{growth.slope:+.3f} MiB per thousand requests"
    )
    if arguments.out:
        arguments.out.write_text(json.dumps(asdict(growth)) + "\n", encoding="utf-8")


def measure_growth(
    load: Load, usage: Callable[[], Usage | None], images: Iterable[SampleImage], count: int, seconds: float
) -> MemoryGrowth:
    """Send the images in rotation and read the memory after each rotation.

    Args:
        load: Load for the server.
        usage: Reads the server's resources.
        images: Images to send.
        count: Minimum number of requests.
        seconds: Duration per image and rotation.

    Raises:
        RuntimeError: The server answers no image, or the system does not report memory.
    """
    images, requests, megabytes = list(images), [0], []
    while requests[-1] < count:
        answered = sum(
            load.run(image.data, path=image.path, seconds=seconds, concurrency=_CONCURRENCY).answered
            for image in images
        )
        now = usage()
        if now is None or not answered:
            raise RuntimeError("the server answers no image, or this system does not report memory")
        requests.append(requests[-1] + answered)
        megabytes.append(round(now.memory, 2))
        peak = now.peak
    return MemoryGrowth(requests[1:], megabytes, round(peak, 2), round(slope(requests[1:], megabytes), 4))


def slope(requests: list[int], megabytes: list[float]) -> float:
    """Return MiB per thousand requests by least squares, without the first tenth; 0 if too few readings remain."""
    settled = [at for at, answered in enumerate(requests) if answered > requests[-1] / 10]
    if len(settled) < 2:
        return 0.0
    thousands = np.array([requests[at] for at in settled]) / 1000
    return float(np.polyfit(thousands, [megabytes[at] for at in settled], 1)[0])


if __name__ == "__main__":
    main()
