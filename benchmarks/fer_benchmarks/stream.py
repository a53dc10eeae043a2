"""How fast /stream is: frames a second, glass-to-JSON latency, what idle streams cost, and what a flood does.

Starts a server of its own, and is its only client, on the same machine over loopback. Frames are 640×480 JPEGs
with scikit-image's astronaut in them, who moves. Latency counts from before a frame is encoded until its JSON is
parsed. Run it with the training environment:

    python -m fer_benchmarks.stream --detector yunet --json stream.json
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray
from websockets.asyncio.client import connect

_WIDTH, _HEIGHT = 640, 480
_QUALITY = 85


@dataclass(frozen=True)
class Run:
    """What a client saw.

    Attributes:
        offered: Frames sent a second.
        answered: Results a second.
        dropped: Frames that a newer one replaced.
        faces: Results with a face, as a share.
        p50: Latency in milliseconds.
        p95: Latency in milliseconds.
        first_half_p50: Of the first half of the results; a queue would make the second one's larger.
        second_half_p50: Of the second half.
    """

    offered: float
    answered: float
    dropped: int
    faces: float
    p50: float
    p95: float
    first_half_p50: float
    second_half_p50: float


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default="auto", help="as FER_DETECTOR")
    parser.add_argument("--model", default="bundled", help="as FER_MODEL")
    parser.add_argument("--seconds", type=float, default=15, help="of each measurement")
    parser.add_argument("--rates", type=float, nargs="+", default=[15, 30, 60], help="frames a second to send")
    parser.add_argument("--idle", type=int, default=20, help="idle streams")
    parser.add_argument("--json", type=Path, default=None, help="write the figures here")
    arguments = parser.parse_args()

    with serving(FER_DETECTOR=arguments.detector, FER_MODEL=arguments.model) as (process, address):
        asyncio.run(stream(address, 15, 2))  # what only the first frames pay
        runs = [asyncio.run(stream(address, rate, arguments.seconds)) for rate in arguments.rates]
        idle = asyncio.run(idle_cost(process.pid, address, arguments.idle, arguments.seconds))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, detector {arguments.detector}")
    print(" offered/s answered/s  dropped  p50 ms  p95 ms 1st half 2nd half")
    for run in runs:
        print(
            f"{run.offered:10.1f} {run.answered:10.1f} {run.dropped:8} {run.p50:7.1f} {run.p95:7.1f} "
            f"{run.first_half_p50:8.1f} {run.second_half_p50:8.1f}"
        )
    print(f"{arguments.idle} idle streams: {idle:.2%} of one core")
    if arguments.json:
        report = {"runs": [asdict(run) for run in runs], "idle_streams": arguments.idle, "idle_cpu": idle}
        arguments.json.write_text(json.dumps(report | {"load": os.getloadavg()[0]}, indent=2))


@contextmanager
def serving(**environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server on a free port, with the address of its streams."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fer_service", "serve", "--port", "0"],
        env=os.environ | environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None  # noqa: S101
    try:
        found = None
        while not found and (line := process.stderr.readline()):
            found = re.search(r"serving on http://(\S+)", line)
        if not found:
            raise SystemExit("the server did not start")
        yield process, f"ws://{found[1]}/stream"
    finally:
        process.terminate()
        process.communicate()


async def stream(address: str, rate: float, seconds: float) -> Run:
    """Send frames at a rate, whatever comes back."""
    scenes = _scenes()
    sent: dict[int, float] = {}
    latencies: list[float] = []
    with_face = 0

    async with connect(address, compression=None) as socket:

        async def receive() -> None:
            nonlocal with_face
            async for message in socket:
                result = json.loads(message)
                latencies.append((time.perf_counter() - sent[result["frame"]]) * 1e3)
                with_face += bool(result.get("faces"))

        receiving = asyncio.create_task(receive())
        began = time.perf_counter()
        while (elapsed := time.perf_counter() - began) < seconds:
            number = len(sent) + 1
            sent[number] = time.perf_counter()
            await socket.send(_encoded(scenes[number % len(scenes)]))
            await asyncio.sleep(max(number / rate - elapsed, 0))
        await asyncio.sleep(0.5)
        receiving.cancel()
    half = len(latencies) // 2
    return Run(
        offered=len(sent) / seconds,
        answered=len(latencies) / seconds,
        dropped=len(sent) - len(latencies),
        faces=with_face / len(latencies),
        p50=float(np.percentile(latencies, 50)),
        p95=float(np.percentile(latencies, 95)),
        first_half_p50=float(np.percentile(latencies[:half], 50)),
        second_half_p50=float(np.percentile(latencies[half:], 50)),
    )


async def idle_cost(pid: int, address: str, count: int, seconds: float) -> float:
    """CPU seconds a second that the server takes while streams are open and nothing is sent."""
    sockets = [await connect(address, compression=None) for _ in range(count)]
    await asyncio.sleep(1)
    before = _cpu_seconds(pid)
    await asyncio.sleep(seconds)
    spent = _cpu_seconds(pid) - before
    for socket in sockets:
        await socket.close()
    return spent / seconds


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _scenes() -> list[NDArray[np.uint8]]:
    """Frames in BGR, the astronaut at another place in each."""
    astronaut = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)[:_HEIGHT]
    scenes = []
    for left in range(0, _WIDTH - astronaut.shape[1], 8):
        scene = np.full((_HEIGHT, _WIDTH, 3), 96, np.uint8)
        scene[:, left : left + astronaut.shape[1]] = astronaut
        scenes.append(scene)
    return scenes


def _encoded(scene: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".jpg", scene, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


if __name__ == "__main__":
    main()
