"""CPU time of the kernels alone: decoding, the detector's network and the classifier's network."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.options import Options
from fer_service.detection.detector import BatchDetector, Detector
from fer_service.detection.orientations import Orientations
from fer_service.detection.scales import Scales
from fer_service.detection.yunet import YuNet
from fer_service.imaging.decode import decode
from numpy.typing import NDArray

Part = Callable[[], object]
Clock = Callable[[], float]


@dataclass(frozen=True)
class KernelCosts:
    """CPU milliseconds per image on one thread.

    Attributes:
        decode: From encoded bytes to pixels.
        detect: The detector's network alone, or the whole detector if it has no network. 0 without detection.
        classify: The classifier on all faces of the image at once. 0 without a face.
        pipeline: The whole pipeline, from encoded bytes to the prediction's JSON.
    """

    decode: float
    detect: float
    classify: float
    pipeline: float

    @property
    def overhead(self) -> float:
        """CPU milliseconds of the pipeline outside its kernels."""
        return self.pipeline - self.decode - self.detect - self.classify


def measure_kernels(
    analyzer: Analyzer, data: bytes, options: Options, seconds: float, clock: Clock = time.thread_time
) -> KernelCosts:
    """Time the pipeline and its kernels for one image.

    They run in rotation, so that all see the same state of the machine.

    Args:
        analyzer: Analyzer with one thread.
        data: Encoded image.
        options: Options of the request.
        seconds: Approximate duration.
        clock: CPU seconds of this thread.
    """
    costs = cpu_milliseconds(pipeline_parts(analyzer, data, options), seconds, clock)
    return KernelCosts(**({"detect": 0.0, "classify": 0.0} | costs))


def pipeline_parts(analyzer: Analyzer, data: bytes, options: Options) -> dict[str, Part]:
    """Return calls that run the pipeline and each of its kernels for one image, by field of `KernelCosts`."""
    image = analyzer.open(data, options)
    crops = analyzer.preparer.prepare(image, options).crops
    reduction = analyzer.preparer.reduction(image.header, options)
    parts: dict[str, Part] = {
        "pipeline": lambda: analyzer.analyze(data, options).model_dump_json(),
        "decode": lambda: decode(image.data, image.header, reduction),
    }
    if options.detect:
        networks = _networks(
            analyzer.detector, decode(image.data, image.header, reduction), analyzer.limits.min_score
        )
        parts["detect"] = lambda: [run() for run in networks]
    if crops:
        parts["classify"] = lambda: analyzer.classifier.classify(crops)
    return parts


def cpu_milliseconds(
    parts: Mapping[str, Part],
    seconds: float,
    clock: Clock = time.thread_time,
    now: Clock = time.monotonic,
) -> dict[str, float]:
    """Return the median CPU milliseconds per call of each part.

    The parts run in rotation for about so many seconds, and at least once.
    """
    times: dict[str, list[float]] = {name: [] for name in parts}
    end = now() + seconds
    while True:
        for name, part in parts.items():
            began = clock()
            part()
            times[name].append((clock() - began) * 1e3)
        if now() >= end:
            return {name: statistics.median(values) for name, values in times.items()}


def cpu_milliseconds_of(part: Part, seconds: float) -> float:
    """Return the median CPU milliseconds per call of one part."""
    return cpu_milliseconds({"": part}, seconds)[""]


def _networks(detector: Detector, pixels: NDArray[np.uint8], min_score: float) -> list[Part]:
    """Return the network runs that the detector needs for this image."""
    if isinstance(detector, Scales | Orientations):
        looks = detector.search(pixels, min_score)[1]
        return [run for look in looks for run in _networks(detector.network, look.pixels, min_score)]
    if isinstance(detector, YuNet):
        blob = detector.blob(detector.shrunk(pixels))
        return [lambda: detector.run(blob)]
    if isinstance(detector, BatchDetector):
        prepared = detector.preprocess(pixels)
        return [lambda: detector.run([prepared])]
    return [lambda: detector.detect(pixels, min_score)]
