"""Measures a product inside the product's own process.

It imports the standard library only, because it runs in every product's environment. Commands are JSON lines on
standard input, results are JSON lines on standard output.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measurement:
    """One subject with one image.

    Attributes:
        images: Number of images analyzed.
        seconds: Duration.
        cpu_seconds: CPU seconds of all threads and processes; None if unknown.
        faces: Faces found in the image; None if unknown.
        peak: Peak of the resident memory since the start in MiB; None if unknown.
    """

    images: int
    seconds: float
    cpu_seconds: float | None
    faces: int | None
    peak: float | None

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / self.seconds

    @property
    def cpu_milliseconds(self) -> float | None:
        """CPU milliseconds per image."""
        return None if self.cpu_seconds is None else self.cpu_seconds / self.images * 1e3


def run_worker(analyze: Callable[[str], int], about: str) -> None:
    """Print {"about": …}, then a `Measurement` for each command {"image": path, "seconds": duration}.

    Args:
        analyze: From the path of an image to the number of faces found.
        about: Version and weights of the product.
    """
    results = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # keeps the product's own output out of the results
    print(json.dumps({"about": about}), file=results, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        measurement = _measure(analyze, command["image"], command["seconds"])
        print(json.dumps(asdict(measurement)), file=results, flush=True)


def _measure(analyze: Callable[[str], int], image: str, seconds: float) -> Measurement:
    faces = analyze(image)  # warm-up for this image size
    images, cpu, began = 0, time.process_time(), time.perf_counter()
    while not images or time.perf_counter() - began < seconds:
        analyze(image)
        images += 1
    return Measurement(images, time.perf_counter() - began, time.process_time() - cpu, faces, _peak())


def _peak() -> float | None:
    # The maximum of getrusage includes the process that started this one.
    status = Path("/proc/self/status")
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.exists() else None
    return float(found[1]) / 1024 if found else None
