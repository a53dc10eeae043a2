"""Measure what Ray costs on one machine: its proxy, a call between deployments, and a batch job.

The service and the service behind Ray's proxy answer the same image in turns; so do `predict` and `batch` with the
same files. Needs the extra `ray`, and an otherwise idle machine.

    python -m fer_benchmarks.scaling --images 2000
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from fer_service.distributed.cluster import connected
from fer_service.system.cores import available_cores

from fer_benchmarks.images import encode_jpeg, make_images, portrait_scene
from fer_benchmarks.load import LoadGenerator
from fer_benchmarks.server_process import ServerProcess

IMAGE: Final = "640×480, one face"
_CONNECTIONS: Final = 8
_CALLS: Final = 300


@contextmanager
def served_by_ray(cores: int) -> Iterator[str]:
    """Run the application on Ray Serve with one replica that has these cores; gives its address."""
    with socket.socket() as free:  # Ray knows no port 0
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    with connected(None, cores):
        from fer_service.distributed.serve import FerService
        from ray import serve

        serve.start(http_options={"host": "127.0.0.1", "port": port})
        replica = serve.deployment(
            serve.ingress()(FerService),
            num_replicas=1,
            max_ongoing_requests=64,
            ray_actor_options={"num_cpus": cores},
        )
        serve.run(replica.bind(), name="fer-service")
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            serve.shutdown()


def compare_rates(plain: str, ray: str, rounds: int, seconds: float) -> list[tuple[float, float]]:
    """Return images per second of both servers in turns."""
    data = make_images()[IMAGE].data
    servers = LoadGenerator(plain), LoadGenerator(ray)
    for server in servers:
        server.run(data, seconds=seconds, concurrency=_CONNECTIONS)  # warm
    found = []
    for number in range(rounds):
        turns = servers if number % 2 == 0 else servers[::-1]
        rates = {server: server.run(data, seconds=seconds, concurrency=_CONNECTIONS).rate for server in turns}
        found.append((rates[servers[0]], rates[servers[1]]))
    return found


def call_milliseconds() -> float:
    """Return the time of a call of a deployment with a face crop that does nothing."""
    from ray import serve

    class Nothing:
        def __call__(self, crop: object) -> int:
            return 0

    deployment = serve.deployment(Nothing, ray_actor_options={"num_cpus": 0})
    handle = serve.run(deployment.bind(), name="nothing", route_prefix="/nothing")
    crop = np.zeros((48, 48, 3), np.uint8)
    times = []
    for _ in range(_CALLS):
        began = time.perf_counter()
        handle.remote(crop).result()
        times.append(1000 * (time.perf_counter() - began))
    serve.delete("nothing")
    return statistics.median(times)


def write_photos(folder: Path, count: int) -> None:
    """Write images of 640×480 pixels with one face at different places."""
    scene = portrait_scene(640, 480, [(320, 240, 480)])
    for number in range(count):
        (folder / f"{number:06}.jpg").write_bytes(encode_jpeg(np.roll(scene, number % 160 - 80, axis=1)))


def run_command(*arguments: str) -> float:
    """Run `fer-service` to its end; return the seconds."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "fer_service", *arguments]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)  # noqa: S603 (our own command)
    return time.perf_counter() - began


def compare_jobs(folder: Path, images: int, turns: int) -> dict[str, list[float]]:
    """Return images per second of `predict` and `batch` in turns, and the seconds of `batch` for one image."""
    few, many = folder / "few", folder / "many"
    for place, count in ((few, 1), (many, images)):
        place.mkdir()
        write_photos(place, count)
    found: dict[str, list[float]] = {"predict, images/s": [], "batch, images/s": [], "batch of one image, s": []}
    for turn in range(turns):
        out = folder / str(turn)
        jobs = {
            "predict, images/s": ("predict", str(many), "--out", f"{out}.parquet"),
            "batch, images/s": ("batch", str(many), "--out", f"{out}-many"),
        }
        for name in sorted(jobs, reverse=turn % 2 == 0):
            found[name].append(images / run_command(*jobs[name]))
        found["batch of one image, s"].append(run_command("batch", str(few), "--out", f"{out}-few"))
    return found


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000, help="Files of a batch job.")
    parser.add_argument("--rounds", type=int, default=5, help="Turns of the servers; of the jobs half as many.")
    parser.add_argument("--seconds", type=float, default=5.0, help="Seconds per turn of a server.")
    arguments = parser.parse_args()
    cores = available_cores()
    settings = {"FER_DETECTOR": "own", "FER_DEVICE": "cpu", "FER_THREADS": str(cores)}
    os.environ.update(settings)
    report: dict[str, object] = {"cores": cores, "images": arguments.images}
    with ServerProcess({**settings, "FER_PORT": "0"}) as plain:
        data, load = make_images()[IMAGE].data, LoadGenerator(plain.url)
        service = [load.run(data, seconds=arguments.seconds, concurrency=_CONNECTIONS).rate for _ in range(3)][-1]
        with served_by_ray(cores) as ray:
            rates = compare_rates(plain.url, ray, arguments.rounds, arguments.seconds)
            report["call of another deployment, ms"] = round(call_milliseconds(), 2)
    report["service alone, images/s"] = round(service, 1)
    report["service, Ray's proxy, images/s"] = rates
    report["Ray's proxy / service"] = round(statistics.median(ray / plain for plain, ray in rates), 3)
    with tempfile.TemporaryDirectory() as folder:
        report |= compare_jobs(Path(folder), arguments.images, max(arguments.rounds // 2, 1))
    for name, value in report.items():
        print(f"{name}: {json.dumps(value)}")


if __name__ == "__main__":
    main()
