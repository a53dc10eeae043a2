"""`fer-service doctor`: what this machine has, what the service takes of it, and what to do about failures."""

import json
import math
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console
from rich.table import Table

from fer_service import __version__
from fer_service.contract.errors import FerError, ResultsError, SettingsError
from fer_service.contract.settings import PREFIX, Settings, load_settings
from fer_service.contract.text import first_line, printable, printable_json
from fer_service.http.api_keys import ApiKeys
from fer_service.observability.logs import configure_logging
from fer_service.system.cores import available_cores
from fer_service.system.cuda_driver import CudaDriverError, cuda_driver
from fer_service.system.memory import machine_bytes, memory_limit

_SECONDS: Final = 0.5  # per rate
_MARKS: Final = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "fault": "[red]fault[/]"}
_NEEDED_CUDA: Final = (13, 0)
_MAX_THREADS: Final = 6  # of a process on a CPU: Python's lock is full at 5.7 (docs/decisions/gpu-host.md)
_GOOD_THREADS: Final = 4


@dataclass(frozen=True)
class Finding:
    """One line.

    Attributes:
        name: What was looked at.
        state: `fault` if the service would not start or not do what the settings ask for.
        detail: What was found.
        way_out: What to do about it; empty if nothing.
    """

    name: str
    state: Literal["ok", "note", "fault"]
    detail: str
    way_out: str = ""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check settings, driver, model and detector, and measure rates. The exit status is 1 if something fails."""
    configure_logging("error", "console")  # the findings say what warnings would
    findings = list(examine())
    try:
        if as_json:
            text = json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False)
            print(printable_json(text, sys.stdout.encoding), flush=True)
        else:
            _print(findings)
    except OSError as error:
        raise ResultsError(f"cannot write the output: {error.strerror or error}") from error
    raise typer.Exit(any(finding.state == "fault" for finding in findings))


def examine() -> Iterator[Finding]:
    """Yield the findings, each as soon as it is known."""
    yield _packages()
    yield Finding("CPU", "ok", f"{available_cores()} of {os.cpu_count()} cores, {_cpu_name()}")
    yield Finding("memory", "ok", _memory())
    try:
        settings = load_settings()
    except FerError as error:
        yield Finding("settings", "fault", str(error), "correct the variable; docs/operations.md lists all")
        return
    if settings.api_keys_file:
        try:
            ApiKeys(settings.api_keys_file)
        except SettingsError as error:
            yield Finding("API keys", "fault", str(error), "correct the file, or unset the variable")
    given = sorted(name for name in os.environ if name.startswith(PREFIX))
    yield Finding("settings", "ok", ", ".join(given) if given else "all have their default values")
    driver = _driver(settings)
    yield driver
    has_gpu = driver.state == "ok"
    yield _build(settings, has_gpu)
    yield from _pipeline(settings, has_gpu)


def _packages() -> Finding:
    names = ("onnxruntime", "onnxruntime-gpu", "opencv-python-headless", "numpy")
    found = ", ".join(f"{name} {number}" for name in names if (number := _version(name)))
    return Finding("packages", "ok", f"fer-service {__version__}, Python {platform.python_version()}, {found}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    name = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*:(.+)$", text, re.MULTILINE)
    known = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx_vnni": "VNNI"}
    has = list(dict.fromkeys(known[flag] for flag in (flags[1].split() if flags else ()) if flag in known))
    return (name[1] if name else platform.machine()) + (f" ({', '.join(has)})" if has else "")


def _memory() -> str:
    limit, machine = memory_limit(), machine_bytes()
    text = f"{machine / 2**30:.1f} GiB" if machine else "unknown"
    return text + (f", limited to {limit / 2**30:.1f} GiB" if limit else "")


def _driver(settings: Settings) -> Finding:
    wanted = settings.device in ("cuda", "tensorrt")
    missing: Literal["note", "fault"] = "fault" if wanted else "note"
    try:
        driver = cuda_driver()
    except CudaDriverError as error:
        way_out = "install driver R580 or newer"
        if error.missing:
            way_out = f"in a container: start it with --gpus all; else {way_out}" if wanted else ""
        return Finding("NVIDIA driver", missing, str(error), way_out)
    detail = f"runs CUDA {'.'.join(map(str, driver.cuda))}; {', '.join(driver.devices) or 'no device'}"
    if not driver.devices:
        return Finding("NVIDIA driver", missing, detail, "CUDA_VISIBLE_DEVICES or the container hides the GPUs")
    if driver.cuda < _NEEDED_CUDA:
        return Finding("NVIDIA driver", missing, detail, "install driver R580 or newer (CUDA 13)")
    return Finding("NVIDIA driver", "ok", detail)


def _build(settings: Settings, has_gpu: bool) -> Finding:
    from fer_service.onnx.gpu_support import both_builds_are_installed, cuda_is_built_in

    if both_builds_are_installed():
        way_out = "pip install --force-reinstall --no-deps onnxruntime-gpu"
        return Finding("onnxruntime", "fault", "both builds are installed, the CPU build came last", way_out)
    if cuda_is_built_in():
        return Finding("onnxruntime", "ok", "CUDA build")
    way_out = "on x86-64 Linux: `make serve`, or the extra `gpu`"
    if settings.device in ("cuda", "tensorrt"):
        return Finding("onnxruntime", "fault", "CPU build", way_out)
    if settings.device == "auto" and has_gpu:
        return Finding("onnxruntime", "note", "CPU build; the GPU is not used", way_out)
    return Finding("onnxruntime", "ok", "CPU build")


def _pipeline(settings: Settings, has_gpu: bool) -> Iterator[Finding]:
    from fer_service.analysis.loading import load
    from fer_service.onnx.gpu_support import cuda_is_built_in
    from fer_service.system.process import set_up_process

    set_up_process()
    began = time.perf_counter()
    try:
        analyzer = load(settings)
    except FerError as error:
        yield Finding("model and detector", "fault", str(error), "see docs/operations.md#troubleshooting")
        return
    seconds = time.perf_counter() - began
    classifier, bundle = analyzer.classifier, analyzer.classifier.bundle
    name = f"{bundle.path.name} ({bundle.metadata.name} {bundle.metadata.version})"
    detail = f"{name} on {classifier.provider}, opened in {seconds:.1f} s"
    if has_gpu and cuda_is_built_in() and settings.device == "auto" and not classifier.on_gpu:
        way_out = "run `FER_DEVICE=cuda fer-service doctor` to see the reason"
        yield Finding("model", "note", f"{detail}; the GPU is not used", way_out)
    else:
        yield Finding("model", "ok", detail)
    if not classifier.on_gpu and settings.threads > _MAX_THREADS:
        total = settings.workers * settings.threads
        workers = math.ceil(total / _GOOD_THREADS)
        yield Finding(
            "threads",
            "note",
            f"{settings.threads} per process; Python's lock lets about {_MAX_THREADS} work at the same time",
            f"set FER_WORKERS={workers} and FER_THREADS={math.ceil(total / workers)}",
        )
    yield _detector(analyzer.detector.name, settings)
    began = time.perf_counter()
    try:
        classifier.warm(settings.max_batch)
        analyzer.warm()
    except Exception as error:  # onnxruntime's own exceptions share no base class
        yield Finding("first run", "fault", first_line(error), "set FER_DEVICE=cpu, or check cuDNN 9")
        return
    yield Finding("first run", "ok", f"{time.perf_counter() - began:.1f} s")
    import cv2
    import numpy as np

    side = bundle.metadata.input_size
    crop = np.zeros((side, side, 3), np.uint8)
    sizes = [size for size in (1, 8, 64) if size <= settings.max_batch and (classifier.on_gpu or size <= 8)]
    rates = [size * _per_second(partial(classifier.classify, [crop] * size)) for size in sizes]
    by_size = ", ".join(f"{rate:,.0f} in batches of {size}" for rate, size in zip(rates, sizes, strict=True))
    yield Finding("faces per second", "ok", f"{by_size}, on one thread")
    image = cv2.imencode(".jpg", np.full((480, 640, 3), 127, np.uint8))[1].tobytes()
    rate = _per_second(lambda: analyzer.analyze(image))
    yield Finding("images per second", "ok", f"{rate:,.0f} of 640×480 without a face, on one thread")


def _detector(name: str, settings: Settings) -> Finding:
    from fer_service.detection.choice import falls_back
    from fer_service.detection.weights import pull_command

    if falls_back(settings.detector):
        return Finding("detector", "note", name, f"YuNet finds more small faces: {pull_command()}")
    return Finding("detector", "ok", name)


def _per_second(work: Callable[[], object]) -> float:
    began, count = time.perf_counter(), 0
    while (seconds := time.perf_counter() - began) < _SECONDS:
        work()
        count += 1
    return count / seconds


def _print(findings: list[Finding]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        table.add_row(_MARKS[finding.state], finding.name, printable(finding.detail))
        if finding.way_out:
            table.add_row("", "", f"→ {printable(finding.way_out)}")
    Console(width=None if sys.stdout.isatty() else 200).print(table, markup=True)
