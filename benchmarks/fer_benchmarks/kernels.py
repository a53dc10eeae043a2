"""What no Python can beat: decoding, the detector's network and the classifier's network alone."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from fer_service.analysis.analyzer import Analyzer, Options
from fer_service.detection.coarse_first import CoarseFirst
from fer_service.detection.detector import BatchDetector, Detector
from fer_service.detection.yunet import YuNet
from fer_service.imaging.decode import decode, read_header
from numpy.typing import NDArray


@dataclass(frozen=True)
class Kernels:
    """CPU milliseconds an image, on one thread.

    Attributes:
        decode: The image's bytes to pixels.
        detect: The detector's network alone; the whole of a detector that is none; 0 without detection.
        classify: The classifier on all faces of the image at once; 0 without a face.
        line: Everything: from bytes to the prediction's JSON.
    """

    decode: float
    detect: float
    classify: float
    line: float

    @property
    def outside(self) -> float:
        """What the line spends outside its kernels."""
        return self.line - self.decode - self.detect - self.classify


def kernels(analyzer: Analyzer, data: bytes, options: Options, seconds: float) -> Kernels:
    """Time the line for one image and its parts, turn by turn, so that all see the same state of the machine.

    Args:
        analyzer: Opened with one thread.
        data: An encoded image.
        options: What is asked for.
        seconds: To spend, about.
    """
    header = read_header(data, analyzer.limits.max_pixels)
    crops = analyzer.prepare(data, options).crops
    reduction = analyzer.reduction(header, options)
    parts: dict[str, Callable[[], object]] = {
        "line": lambda: analyzer.analyze(data, options).model_dump_json(),
        "decode": lambda: decode(data, header, reduction),
    }
    if options.detect:
        networks = _networks(analyzer.detector, decode(data, header, reduction), analyzer.limits.min_score)
        parts["detect"] = lambda: [run() for run in networks]
    if crops:
        parts["classify"] = lambda: analyzer.classifier.classify(crops)
    milliseconds = {"detect": 0.0, "classify": 0.0} | cpu_milliseconds(parts, seconds)
    return Kernels(**milliseconds)


def cpu_milliseconds(parts: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Median CPU milliseconds of this thread a call of each part, the parts taking turns."""
    times: dict[str, list[float]] = {name: [] for name in parts}
    end = time.monotonic() + seconds
    while time.monotonic() < end or not times["line"]:
        for name, part in parts.items():
            began = time.thread_time()
            part()
            times[name].append((time.thread_time() - began) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def _networks(detector: Detector, pixels: NDArray[np.uint8], min_score: float) -> list[Callable[[], object]]:
    """The runs of networks that looking at an image takes."""
    if isinstance(detector, CoarseFirst):
        first = detector.pays(pixels)
        settled = first and detector.first_look(pixels, min_score) is not None
        looks = [detector.coarse] * first + [detector.fine] * (not settled)
        return [run for look in looks for run in _networks(look, pixels, min_score)]
    if isinstance(detector, YuNet):
        blob = detector.blob(detector.shrunk(pixels))
        return [lambda: detector.run(blob)]
    if isinstance(detector, BatchDetector):
        fitted = detector.fitted(pixels)
        return [lambda: detector.run([fitted])]
    return [lambda: detector.detect(pixels, min_score)]
