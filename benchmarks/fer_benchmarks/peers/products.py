"""This service beside the packages that people would take instead: `fer` and DeepFace, as their READMEs call them.

    python -m fer_benchmarks.products --folder .peers/ --out products.json
    python -m fer_benchmarks.products --folder .peers/ --yunet face_detection_yunet_2023mar.onnx

The service answers over HTTP, with 8 connections; the products, and this project's line, take one image at a
time in process, from the file to the result, each warm and free to use two cores. All take turns, so that a noisy
machine slows them alike, and are told as ratios. The products differ from the service in
detector and model too: this says what an image costs whoever takes them as they come, not whose code is better.
Look at the faces before the ratios: a detector that finds none has little to do.

DeepFace's emotion weights come from an outside address. Where they do not lie in the folder's deepface_home, its
network gets random weights, which take the same time, and the table says so. `FER(mtcnn=True)` did not run with
what installs on Python 3.11: tensorflow 2.21 and torch 2.15 end or hang in one process; `--mtcnn` tries it.
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

from fer_benchmarks.images import images
from fer_benchmarks.peers.environments import python_of_product
from fer_benchmarks.peers.process import ProductProcess
from fer_benchmarks.peers.turn import Turn
from fer_benchmarks.run import fer_server
from fer_benchmarks.server import Server

CORES = 2
SERVICE, LINE = "fer-service over HTTP", "fer-service in process"
_ROOT = Path(__file__).parents[2]
_CONCURRENCY = 8
_ROUNDS = 3
_CHOSEN = ("640×480, one face", "1280×720, seven faces")
_YUNET = "face_detection_yunet_2023mar.onnx"


class Subject(Protocol):
    """What is measured."""

    about: str

    def turn(self, image: Path, seconds: float) -> Turn:
        """Answer this image again and again for so long."""


@dataclass(frozen=True)
class Figures:
    """One subject with one image.

    Attributes:
        rate: Images a second, the median round.
        cpu_milliseconds: An image, of all threads and processes, the median round; None where the system does not
            tell.
        faces: That were answered.
        peak: Resident MiB at most so far; None likewise.
        service_ratio: How many times as many images a second the service answers, the median of the rounds.
        line_ratio: The same of the line in process.
    """

    rate: float
    cpu_milliseconds: float | None
    faces: int
    peak: float | None
    service_ratio: float
    line_ratio: float


@dataclass
class Report:
    """Everything.

    Attributes:
        about: Versions and weights by subject.
        missing: Why a subject was not measured, by subject.
        images: Figures by image and subject.
    """

    about: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    images: dict[str, dict[str, Figures]] = field(default_factory=dict)


class ServedSubject:
    """The service itself, over HTTP."""

    def __init__(self, server: Server) -> None:
        self._server, self.about = server, f"{_CONCURRENCY} connections"

    def turn(self, image: Path, seconds: float) -> Turn:
        """Load it with this image.

        Raises:
            StartError: an answer was not 200.
        """
        body = image.read_bytes()
        self._server.load(body, seconds=0.3, concurrency=_CONCURRENCY)
        before = self._server.usage()
        result = self._server.load(body, seconds=seconds, concurrency=_CONCURRENCY)
        after = self._server.usage()
        if set(result.statuses) != {200}:
            raise StartError(f"the service answers with status {', '.join(map(str, result.statuses))}, not 200")
        cpu = after.cpu - before.cpu if before and after else None
        return Turn(result.statuses[200], result.seconds, cpu, None, after.peak if after else None)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="the products' environments are made here")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn")
    parser.add_argument("--yunet", type=Path, help=f"{_YUNET}, to measure DeepFace with that detector too")
    parser.add_argument("--mtcnn", action="store_true", help="try fer with MTCNN too; two minutes where it hangs")
    parser.add_argument("--out", type=Path, help="the figures, as JSON")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # everything started from here inherits it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    report = measured(arguments.folder.resolve(), arguments.seconds, arguments.yunet, arguments.mtcnn)
    print_report(report, Console(width=120))
    if arguments.out:
        arguments.out.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")


def measured(folder: Path, seconds: float, yunet: Path | None, mtcnn: bool) -> Report:
    """Start everything, let it take turns with each image, and end it."""
    report = Report()
    with ExitStack() as stack:
        files = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(fer_server(load_settings()))
        subjects: dict[str, Subject] = {SERVICE: ServedSubject(server)}
        for name, (command, variables) in commands(folder, yunet, mtcnn).items():
            process = ProductProcess(name, command, {**variables, "PYTHONPATH": str(_ROOT)})
            try:
                subjects[name] = stack.enter_context(process)
            except StartError as error:
                report.missing[name] = str(error)
        report.about = {name: subject.about for name, subject in subjects.items()}
        for number, name in enumerate(_CHOSEN):
            image = files / f"{number}.jpg"
            image.write_bytes(images()[name][0])
            rounds = [
                {key: subject.turn(image, seconds) for key, subject in subjects.items()} for _ in range(_ROUNDS)
            ]
            report.images[name] = figures_of(rounds)
    return report


def commands(folder: Path, yunet: Path | None, mtcnn: bool) -> dict[str, tuple[list[str], Mapping[str, str]]]:
    """The command and the variables of each subject in process; environments are made where there are none."""
    home = folder / "deepface_home"
    weights = home / ".deepface" / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    if yunet:
        shutil.copyfile(yunet, weights / _YUNET)
    fer, deepface = (str(python_of_product(module, folder)) for module in ("fer_product", "deepface_product"))
    at_home = {"DEEPFACE_HOME": str(home)}
    found: dict[str, tuple[list[str], Mapping[str, str]]] = {
        LINE: ([sys.executable, "-m", "fer_benchmarks.peers.own_line"], {}),
        "fer, Haar (default)": ([fer, "-m", "fer_benchmarks.peers.fer_product"], {}),
        "DeepFace, Haar (default)": ([deepface, "-m", "fer_benchmarks.peers.deepface_product", "opencv"], at_home),
    }
    if mtcnn:
        found["fer, MTCNN"] = ([fer, "-m", "fer_benchmarks.peers.fer_product", "mtcnn"], {})
    if (weights / _YUNET).exists():
        found["DeepFace, YuNet"] = ([deepface, "-m", "fer_benchmarks.peers.deepface_product", "yunet"], at_home)
    return found


def figures_of(rounds: list[dict[str, Turn]]) -> dict[str, Figures]:
    """Medians over the rounds; a ratio compares turns of the same round."""
    figures = {}
    for name in rounds[0]:
        turns = [one[name] for one in rounds]
        costs = [turn.cpu_milliseconds for turn in turns if turn.cpu_milliseconds is not None]
        # The service tells of no faces under load; its line is the one in process.
        faces = turns[-1].faces if turns[-1].faces is not None else rounds[-1][LINE].faces
        figures[name] = Figures(
            rate=round(statistics.median(turn.rate for turn in turns), 2),
            cpu_milliseconds=round(statistics.median(costs), 2) if costs else None,
            faces=faces or 0,
            peak=turns[-1].peak,
            service_ratio=round(statistics.median(one[SERVICE].rate / one[name].rate for one in rounds), 2),
            line_ratio=round(statistics.median(one[LINE].rate / one[name].rate for one in rounds), 2),
        )
    return figures


def print_report(report: Report, console: Console) -> None:
    """One table, and below it which versions and weights these are, and what did not run."""
    table = Table(
        "image", "subject", "faces", "images/s", "service ÷ it", "line ÷ it", "CPU ms", "peak MiB",
        title=f"products, {CORES} cores",
    )  # fmt: skip
    for image, subjects in report.images.items():
        for number, (name, figures) in enumerate(subjects.items()):
            cost = "–" if figures.cpu_milliseconds is None else f"{figures.cpu_milliseconds:.1f}"
            peak = "–" if figures.peak is None else f"{figures.peak:.0f}"
            ratios = (f"{figures.service_ratio:.2f}", f"{figures.line_ratio:.2f}")
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
