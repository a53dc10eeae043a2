"""Compare the service with the packages `fer` and DeepFace, used as in their READMEs.

    python -m fer_benchmarks.peers.products --folder .peers/ --out products.json
    python -m fer_benchmarks.peers.products --folder .peers/ --yunet face_detection_yunet_2023mar.onnx

The service answers over HTTP with 8 connections. The products and this project's pipeline analyze one image file
at a time in their own warm processes, on the same two cores. All are measured in rotation and compared by
ratios. The products differ in detector and model too, so the ratios compare whole products, not implementations.
Look at the faces first: a detector that finds none has little work.

DeepFace would download its emotion weights. If the folder `deepface_home` has no such file, its network gets
random weights, which take the same time, and the report says so. `FER(mtcnn=True)` does not run with the
packages for Python 3.11: tensorflow 2.21 and torch 2.15 crash or hang in one process. `--mtcnn` tries it.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from fer_service.contract.errors import StartError
from fer_service.contract.settings import load_settings
from rich.console import Console
from rich.table import Table

from fer_benchmarks.images import make_images
from fer_benchmarks.peers.environments import PYTHON_PATH, product_python
from fer_benchmarks.peers.worker import Measurement
from fer_benchmarks.peers.worker_process import WorkerProcess
from fer_benchmarks.service import MeasuredServer, running_service

CORES = 2
SERVICE, PIPELINE = "fer-service over HTTP", "fer-service in process"
_CONCURRENCY = 8
_WARM_SECONDS = 0.3
_ROUNDS = 3
_IMAGES = ("640×480, one face", "1280×720, seven faces")
_YUNET = "face_detection_yunet_2023mar.onnx"


class Subject(Protocol):
    """Software under measurement.

    Attributes:
        about: Version and weights.
    """

    about: str

    def measure(self, image: Path, seconds: float) -> Measurement:
        """Analyze this image again and again for so many seconds."""
        ...


@dataclass(frozen=True)
class Figures:
    """One subject with one image.

    Attributes:
        rate: Median of images per second.
        cpu_milliseconds: Median of CPU milliseconds per image, of all threads and processes; None if unknown.
        faces: Faces found.
        peak: Peak of the resident memory so far in MiB; None if unknown.
        service_ratio: Median of the service's rate divided by this rate.
        pipeline_ratio: Median of the pipeline's rate divided by this rate.
    """

    rate: float
    cpu_milliseconds: float | None
    faces: int
    peak: float | None
    service_ratio: float
    pipeline_ratio: float


@dataclass
class Report:
    """All results.

    Attributes:
        about: Version and weights by subject.
        missing: Reason why a subject was not measured, by subject.
        images: Figures by image and subject.
    """

    about: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    images: dict[str, dict[str, Figures]] = field(default_factory=dict)


class ServiceSubject:
    """The service over HTTP.

    Attributes:
        about: Description for the report.
    """

    def __init__(self, server: MeasuredServer) -> None:
        self._server, self.about = server, f"{_CONCURRENCY} connections"

    def measure(self, image: Path, seconds: float) -> Measurement:
        """Send this image for so many seconds.

        Raises:
            StartError: A response does not have status 200.
        """
        body = image.read_bytes()
        self._server.load.run(body, seconds=_WARM_SECONDS, concurrency=_CONCURRENCY)
        before = self._server.process.usage()
        result = self._server.load.run(body, seconds=seconds, concurrency=_CONCURRENCY)
        after = self._server.process.usage()
        if set(result.statuses) != {200}:
            raise StartError(f"the service answers with status {', '.join(map(str, result.statuses))}, not 200")
        cpu = after.cpu - before.cpu if before and after else None
        return Measurement(result.answered, result.seconds, cpu, None, after.peak if after else None)


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="Folder for the products' environments.")
    parser.add_argument("--seconds", type=float, default=3.0, help="Duration of each measurement.")
    parser.add_argument("--yunet", type=Path, help=f"File {_YUNET}: measure DeepFace with this detector too.")
    parser.add_argument(
        "--mtcnn", action="store_true", help="Try fer with MTCNN too; takes two minutes if it hangs."
    )
    parser.add_argument("--out", type=Path, help="Write the figures to this JSON file.")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # all subjects inherit it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    report = measure_all(arguments.folder.resolve(), arguments.seconds, arguments.yunet, arguments.mtcnn)
    print_report(report, Console(width=120))
    if arguments.out:
        arguments.out.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")


def measure_all(folder: Path, seconds: float, yunet: Path | None, mtcnn: bool) -> Report:
    """Start all subjects and measure them in rotation with each image."""
    report = Report()
    with ExitStack() as stack:
        files = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        subjects: dict[str, Subject] = {
            SERVICE: ServiceSubject(stack.enter_context(running_service(load_settings())))
        }
        for name, (command, variables) in commands(folder, yunet, mtcnn).items():
            process = WorkerProcess(name, command, {**variables, "PYTHONPATH": PYTHON_PATH})
            try:
                subjects[name] = stack.enter_context(process)
            except StartError as error:
                report.missing[name] = str(error)
        report.about = {name: subject.about for name, subject in subjects.items()}
        for number, name in enumerate(_IMAGES):
            image = files / f"{number}.jpg"
            image.write_bytes(make_images()[name].data)
            rounds = [
                {key: subject.measure(image, seconds) for key, subject in subjects.items()} for _ in range(_ROUNDS)
            ]
            report.images[name] = figures_of(rounds)
    return report


def commands(folder: Path, yunet: Path | None, mtcnn: bool) -> dict[str, tuple[list[str], Mapping[str, str]]]:
    """Return command and variables of each worker process; create missing environments."""
    home = folder / "deepface_home"
    weights = home / ".deepface" / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    if yunet:
        shutil.copyfile(yunet, weights / _YUNET)
    fer, deepface = (str(product_python(module, folder)) for module in ("fer_product", "deepface_product"))
    deepface_home = {"DEEPFACE_HOME": str(home)}
    found: dict[str, tuple[list[str], Mapping[str, str]]] = {
        PIPELINE: ([sys.executable, "-m", "fer_benchmarks.peers.service_product"], {}),
        "fer, Haar (default)": ([fer, "-m", "fer_benchmarks.peers.fer_product"], {}),
        "DeepFace, Haar (default)": (
            [deepface, "-m", "fer_benchmarks.peers.deepface_product", "opencv"],
            deepface_home,
        ),
    }
    if mtcnn:
        found["fer, MTCNN"] = ([fer, "-m", "fer_benchmarks.peers.fer_product", "mtcnn"], {})
    if (weights / _YUNET).exists():
        found["DeepFace, YuNet"] = (
            [deepface, "-m", "fer_benchmarks.peers.deepface_product", "yunet"],
            deepface_home,
        )
    return found


def figures_of(rounds: list[dict[str, Measurement]]) -> dict[str, Figures]:
    """Return the medians over the rounds, by subject; a ratio compares measurements of the same round."""
    figures = {}
    for name in rounds[0]:
        measurements = [one[name] for one in rounds]
        costs = [one.cpu_milliseconds for one in measurements if one.cpu_milliseconds is not None]
        last = measurements[-1]
        # The load generator does not read the faces; the pipeline in process finds the same ones.
        faces = last.faces if last.faces is not None else rounds[-1][PIPELINE].faces
        figures[name] = Figures(
            rate=round(statistics.median(one.rate for one in measurements), 2),
            cpu_milliseconds=round(statistics.median(costs), 2) if costs else None,
            faces=faces or 0,
            peak=last.peak,
            service_ratio=round(statistics.median(one[SERVICE].rate / one[name].rate for one in rounds), 2),
            pipeline_ratio=round(statistics.median(one[PIPELINE].rate / one[name].rate for one in rounds), 2),
        )
    return figures


def print_report(report: Report, console: Console) -> None:
    """Print a table, the versions, and the reasons of missing subjects."""
    table = Table(
        "image", "subject", "faces", "images/s", "service ÷ subject", "pipeline ÷ subject", "CPU ms", "peak MiB",
        title=f"products, {CORES} cores",
    )  # fmt: skip
    for image, subjects in report.images.items():
        for number, (name, figures) in enumerate(subjects.items()):
            cost = "–" if figures.cpu_milliseconds is None else f"{figures.cpu_milliseconds:.1f}"
            peak = "–" if figures.peak is None else f"{figures.peak:.0f}"
            ratios = (f"{figures.service_ratio:.2f}", f"{figures.pipeline_ratio:.2f}")
            cells = (str(figures.faces), f"{figures.rate:.1f}", *ratios, cost, peak)
            table.add_row("" if number else image, name, *cells)
        table.add_section()
    console.print(table)
    for name, about in report.about.items():
        console.print(f"{name}: {about}", markup=False)
    for name, reason in report.missing.items():
        console.print(f"{name}: not measured, {reason}", markup=False)


if __name__ == "__main__":
    main()
