"""Measure /stream: frames per second, latency from frame to JSON, and CPU of idle streams.

    python -m fer_benchmarks.stream --detector yunet --json stream.json

It starts a server and is its only client, over loopback. Frames are 640×480 JPEGs with a moving portrait. Latency
counts from before a frame is encoded until its JSON is parsed. Needs the training environment.
"""

import argparse
import asyncio
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from fer_service.contract.errors import StartError
from fer_service.contract.settings import load_settings
from numpy.typing import NDArray
from websockets.asyncio.client import connect

from fer_benchmarks.images import encode_jpeg, portrait_scene
from fer_benchmarks.server_process import ServerProcess
from fer_benchmarks.service import running_service

_WIDTH, _HEIGHT = 640, 480
_QUALITY = 85
_WARM_RATE, _WARM_SECONDS = 15, 2
_LAST_RESULT_SECONDS = 0.5


@dataclass(frozen=True)
class StreamResult:
    """The view of one client.

    Attributes:
        offered: Frames sent per second.
        answered: Results per second.
        dropped: Frames without a result, because a newer one replaced them.
        faces: Share of the results with a face.
        p50: Median latency in milliseconds.
        p95: 95th percentile of the latency in milliseconds.
        first_half_p50: Median latency of the first half of the results.
        second_half_p50: Median latency of the second half; larger than the first half's if a queue grows.
    """

    offered: float
    answered: float
    dropped: int
    faces: float
    p50: float
    p95: float
    first_half_p50: float
    second_half_p50: float


@dataclass(frozen=True)
class StreamClient:
    """Opens streams to a server.

    Attributes:
        url: Base address of the server, http://….
        api_key: Value of the header X-API-Key; empty sends no such header.
    """

    url: str
    api_key: str = ""

    def open(self) -> connect:
        """Return a new connection, for `async with` or `await`."""
        headers = {"X-API-Key": self.api_key} if self.api_key else {}
        return connect(
            self.url.replace("http://", "ws://") + "/stream", compression=None, additional_headers=headers
        )

    async def send_frames(self, rate: float, seconds: float) -> StreamResult:
        """Send frames at a constant rate without waiting for results.

        Raises:
            StartError: The server sends no result.
        """
        scenes = _moving_scenes()
        sent: dict[int, float] = {}
        latencies: list[float] = []
        with_face = 0

        async with self.open() as socket:

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
                await socket.send(encode_jpeg(scenes[number % len(scenes)], _QUALITY))
                await asyncio.sleep(max(number / rate - elapsed, 0))
            await asyncio.sleep(_LAST_RESULT_SECONDS)
            receiving.cancel()
        if len(latencies) < 2:
            raise StartError(f"/stream sent {len(latencies)} results for {len(sent)} frames")
        half = len(latencies) // 2
        return StreamResult(
            offered=len(sent) / seconds,
            answered=len(latencies) / seconds,
            dropped=len(sent) - len(latencies),
            faces=with_face / len(latencies),
            p50=float(np.percentile(latencies, 50)),
            p95=float(np.percentile(latencies, 95)),
            first_half_p50=float(np.percentile(latencies[:half], 50)),
            second_half_p50=float(np.percentile(latencies[half:], 50)),
        )

    async def idle_cpu(self, process: ServerProcess, count: int, seconds: float) -> float | None:
        """Return CPU seconds per second of the server with open streams and no frames; None without /proc."""
        sockets = [await self.open() for _ in range(count)]
        await asyncio.sleep(1)
        idle = await asyncio.to_thread(process.idle_cpu, seconds)
        for socket in sockets:
            await socket.close()
        return idle


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default="auto", help="Detector, as in FER_DETECTOR.")
    parser.add_argument("--model", default="bundled", help="Model, as in FER_MODEL.")
    parser.add_argument("--seconds", type=float, default=15, help="Duration of each measurement.")
    parser.add_argument("--rates", type=float, nargs="+", default=[15, 30, 60], help="Frames per second to send.")
    parser.add_argument("--idle", type=int, default=20, help="Number of idle streams.")
    parser.add_argument("--json", type=Path, default=None, help="Write the figures to this JSON file.")
    arguments = parser.parse_args()
    with running_service(load_settings(detector=arguments.detector, model=arguments.model)) as server:
        client = StreamClient(server.load.url, server.load.api_key)
        asyncio.run(client.send_frames(_WARM_RATE, _WARM_SECONDS))
        runs = [asyncio.run(client.send_frames(rate, arguments.seconds)) for rate in arguments.rates]
        idle = asyncio.run(client.idle_cpu(server.process, arguments.idle, arguments.seconds))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, detector {arguments.detector}")
    print(" offered/s answered/s  dropped  p50 ms  p95 ms 1st half 2nd half")
    for run in runs:
        print(
            f"{run.offered:10.1f} {run.answered:10.1f} {run.dropped:8} {run.p50:7.1f} {run.p95:7.1f} "
            f"{run.first_half_p50:8.1f} {run.second_half_p50:8.1f}"
        )
    if idle is not None:
        print(f"{arguments.idle} idle streams: {idle:.2%} of a core")
    if arguments.json:
        figures = {"runs": [asdict(run) for run in runs], "idle_streams": arguments.idle, "idle_cpu": idle}
        arguments.json.write_text(json.dumps(figures | {"load": os.getloadavg()[0]}, indent=2), encoding="utf-8")


def _moving_scenes() -> list[NDArray[np.uint8]]:
    return [portrait_scene(_WIDTH, _HEIGHT, [(x, 240, _HEIGHT)]) for x in range(_HEIGHT // 2, 400, 8)]


if __name__ == "__main__":
    main()
