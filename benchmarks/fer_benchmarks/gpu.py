"""Measure images per second on a GPU: the networks alone, through the batcher, and over HTTP.

    python -m fer_benchmarks.gpu --out gpu.json             # on a host with an NVIDIA GPU
    python -m fer_benchmarks.gpu --device cpu --quick       # on any host, as a check

Needs the extras `training` and `gpu` in one environment: docs/decisions/gpu.md has the commands.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import wait
from pathlib import Path
from typing import Any, Literal

import numpy as np
from fer_service import assets
from fer_service.classification.classifier import open_classifier
from fer_service.contract.bundle import INPUT_NAME, OUTPUT_NAME, read_metadata
from fer_service.contract.settings import load_settings
from fer_service.detection.own import ANSWERS, OUTPUT_NAMES
from fer_service.detection.own import INPUT_NAME as IMAGES
from fer_service.onnx.batcher import Batcher
from fer_service.onnx.buckets import buckets
from fer_service.onnx.session import Gpu, Session
from fer_service.system.cores import available_cores
from fer_training.tasks.emotion.export import write_bundle, write_graph
from fer_training.tasks.emotion.half_precision import to_fp16
from fer_training.tasks.emotion.model import EmotionNetwork, ExportWrapper
from fer_training.tasks.emotion.recipe import Network
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fer_benchmarks.images import make_images
from fer_benchmarks.service import running_service

_BUNDLED = "bundled"
_WORKERS = (1, 4, 12)
_QUEUED_BATCHES = 8
_CONNECTIONS = 16  # per worker
_SIDE = 640
ComputeDevice = Literal["cuda", "cpu"]


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="Device of the networks.")
    parser.add_argument("--seconds", type=float, default=2.0, help="Duration of each measurement.")
    parser.add_argument("--quick", action="store_true", help="Measure small networks, briefly, as a check.")
    parser.add_argument(
        "--detector", type=Path, default=assets.DETECTOR, help="File of our own detector; skipped if missing."
    )
    parser.add_argument("--out", type=Path, help="Write the figures to this JSON file.")
    arguments = parser.parse_args()
    seconds = 0.05 if arguments.quick else arguments.seconds
    counts = buckets(4 if arguments.quick else 64)
    name, size = ("resnet18", 32) if arguments.quick else ("resnet50", 224)
    with tempfile.TemporaryDirectory() as folder:
        files = write_models(Network(name=name, input_size=size), Path(folder))
        alone = dict(session_rates(files, arguments.device, counts, seconds))
        if arguments.detector.is_file():
            alone[f"detector at {_SIDE}"] = detector_rates(arguments.detector, arguments.device, counts, seconds)
        through = batcher_rate(files[_BUNDLED, "fp32"], arguments.device, counts[-1], seconds)
    ratio = through / alone[f"{_BUNDLED}, fp32"][counts[-1]]
    figures = {
        "sessions": alone,
        "batcher": {"images/s": through, "batcher ÷ direct": ratio},
        "http": http_rates(arguments.device, _WORKERS[: 1 if arguments.quick else None], seconds),
    }
    print_figures(figures, Console(width=120))
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def write_models(other: Network, folder: Path) -> dict[tuple[str, str], Path]:
    """Return the bundled model and one with random weights, each in fp32 and fp16, by name and precision.

    Args:
        other: Network of the model with random weights.
        folder: Folder of the new files.
    """
    metadata = read_metadata(
        Session.open(assets.MODELS["bundled"], device="cpu", threads=1), str(assets.MODELS["bundled"])
    )
    name = f"{other.name} at {other.input_size}"
    graph, random = folder / "graph.onnx", folder / "random.onnx"
    network = EmotionNetwork(other, len(metadata.labels)).eval()
    write_graph(ExportWrapper(network, other.channels, 1.0).eval(), other.input_size, graph)
    write_bundle(graph, metadata.model_copy(update={"name": name, "input_size": other.input_size}), random)
    files = {(_BUNDLED, "fp32"): assets.MODELS["bundled"], (name, "fp32"): random}
    for network_name, _ in list(files):
        half = folder / f"half-{len(files)}.onnx"
        to_fp16(files[network_name, "fp32"], half, folder / "rounded.onnx")
        files[network_name, "fp16"] = half
    return files


def session_rates(
    files: dict[tuple[str, str], Path], device: ComputeDevice, counts: list[int], seconds: float
) -> Iterable[tuple[str, dict[int, float]]]:
    """Yield images per second of each model by bucket; on a GPU also with CUDA graphs."""
    for (name, precision), path in files.items():
        for graphs in (False, True) if device == "cuda" else (False,):
            session = Session.open(path, device=device, threads=available_cores(), gpu=Gpu(cuda_graphs=graphs))
            metadata = read_metadata(session, str(path))
            row = (metadata.input_size, metadata.input_size, 3)
            rates = bucket_rates(session, INPUT_NAME, row, {OUTPUT_NAME: (len(metadata.labels),)}, counts, seconds)
            yield f"{name}, {precision}{', CUDA graph' if graphs else ''}", rates


def detector_rates(path: Path, device: ComputeDevice, counts: list[int], seconds: float) -> dict[int, float]:
    """Return images per second of our own detector by bucket."""
    session = Session.open(path, device=device, threads=available_cores())
    rows = dict(zip(OUTPUT_NAMES, ((ANSWERS, 4), (ANSWERS,)), strict=True))
    return bucket_rates(session, IMAGES, (_SIDE, _SIDE, 3), rows, counts, seconds)


def bucket_rates(
    session: Session,
    name: str,
    row: tuple[int, ...],
    outputs: dict[str, tuple[int, ...]],
    counts: list[int],
    seconds: float,
) -> dict[int, float]:
    """Return images per second by batch size, with bound buffers and the copies to the device and back."""
    rates = {}
    for count in counts:
        batch = np.random.default_rng(0).integers(0, 256, (count, *row), np.uint8)
        arrays = {output: np.zeros((count, *shape), np.float32) for output, shape in outputs.items()}
        run = session.bound({name: batch}, arrays, count)
        rates[count] = count * calls_per_second(lambda run=run, batch=batch: run(**{name: batch}), seconds)  # type: ignore[misc]
    return rates


def batcher_rate(path: Path, device: ComputeDevice, max_batch: int, seconds: float) -> float:
    """Return images per second through the batcher, with several full batches in its queue."""
    classifier = open_classifier(path, device, available_cores())
    size = classifier.bundle.metadata.input_size
    crops = list(np.random.default_rng(0).integers(0, 256, (max_batch, size, size, 3), np.uint8)) * _QUEUED_BATCHES
    batcher: Batcher[NDArray[np.uint8], NDArray[np.float32]] = Batcher(
        lambda batch: list(classifier.classify(batch)),
        setup=lambda: classifier.warm(max_batch),
        max_batch=max_batch,
        max_queue=len(crops),
    )
    batcher.start()
    rate = len(crops) * calls_per_second(lambda: wait(batcher.submit(crops)), seconds)
    batcher.drain()
    return rate


def http_rates(device: ComputeDevice, workers: Iterable[int], seconds: float) -> dict[int, float]:
    """Return images of 640×480 per second over HTTP, by number of replicas."""
    data = make_images()["640×480, one face"].data
    rates = {}
    for count in workers:
        settings = load_settings(device=device, workers=count, threads=max(available_cores() // count, 1))
        with running_service(settings) as server:
            for length in (max(seconds, 0.3), seconds):  # the first run warms every replica
                result = server.load.run(data, seconds=length, concurrency=_CONNECTIONS * count)
            rates[count] = result.rate
    return rates


def calls_per_second(call: Callable[[], object], seconds: float) -> float:
    """Return calls per second, after one warm-up call."""
    call()
    count, began = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - began < seconds:
        call()
        count += 1
    return count / (time.perf_counter() - began)


def print_figures(figures: dict[str, Any], console: Console) -> None:
    """Print the figures."""
    counts = list(next(iter(figures["sessions"].values())))
    table = Table("images/s by batch size", *map(str, counts), title="session alone")
    for name, rates in figures["sessions"].items():
        table.add_row(name, *(f"{rates[count]:.0f}" for count in counts))
    console.print(table)
    rate, ratio = figures["batcher"].values()
    console.print(f"batcher: {rate:.0f} images/s, {ratio:.2f} of the session alone")
    for workers, rate in figures["http"].items():
        console.print(f"HTTP, {workers} workers: {rate:.0f} images/s")


if __name__ == "__main__":
    main()
