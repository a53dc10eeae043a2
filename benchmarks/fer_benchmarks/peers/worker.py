"""A product measured inside its own process: turns are read from stdin and told on stdout, a line of JSON each.

Nothing but the standard library, since it runs in every product's environment.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path


def take_turns(analyze: Callable[[str], int], about: str) -> None:
    """Tell `about`, then for each line {"image": file, "seconds": s} analyze that file again and again.

    A turn is told as {"images", "seconds", "cpu_seconds" of all threads, "faces", "peak" resident MiB so far}.

    Args:
        analyze: From an image's file to how many faces were answered.
        about: Which version with which weights.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a product prints is no answer
    print(json.dumps({"about": about}), file=answers, flush=True)
    for line in sys.stdin:
        turn = json.loads(line)
        print(json.dumps(_measured(analyze, turn["image"], turn["seconds"])), file=answers, flush=True)


def _measured(analyze: Callable[[str], int], image: str, seconds: float) -> dict[str, float | None]:
    faces = analyze(image)  # warms this size of image
    images, cpu, began = 0, time.process_time(), time.perf_counter()
    while not images or time.perf_counter() - began < seconds:
        analyze(image)
        images += 1
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"images": images, "seconds": took, "cpu_seconds": cpu, "faces": faces, "peak": _peak()}


def _peak() -> float | None:
    # Not getrusage: its maximum counts the process that started this one.
    status = Path("/proc/self/status")
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.exists() else None
    return float(found[1]) / 1024 if found else None
