import time
from collections.abc import Sequence

import numpy as np
import pytest
from fer_benchmarks.kernels import cpu_milliseconds, kernels
from fer_service.analysis.analyzer import Analyzer, Options
from fer_service.contract.boxes import Box
from fer_service.detection.coarse_first import CoarseFirst
from fer_service.detection.detector import Answer, Face
from numpy.typing import NDArray

from tests.fakes import FakeBatchDetector, FakeClassifier, FakeDetector


def busy(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Slow(FakeDetector):
    def detect(self, pixels: object, min_score: float) -> list[Face]:
        busy(0.004)
        return list(self.faces)


def analyzer(*faces: Face) -> Analyzer:
    def rule(crop: object) -> list[float]:
        busy(0.002)
        return [0.2, 0.5, 0.3]

    return Analyzer(Slow(*faces), FakeClassifier(rule))


def test_the_parts_are_timed_apart_from_the_line(astronaut_jpeg: bytes) -> None:
    parts = kernels(analyzer(Face(Box(170, 60, 100, 130))), astronaut_jpeg, Options(), 0.2)
    assert parts.detect == pytest.approx(4, abs=1)
    assert parts.classify == pytest.approx(2, abs=1)
    assert parts.decode > 0
    assert 0 <= parts.outside < parts.line
    assert parts.line >= parts.detect + parts.classify + parts.decode


def test_an_image_without_faces_costs_no_classifier(astronaut_jpeg: bytes) -> None:
    assert kernels(analyzer(), astronaut_jpeg, Options(), 0.05).classify == 0


def test_without_detection_the_detector_costs_nothing(astronaut_jpeg: bytes) -> None:
    parts = kernels(analyzer(), astronaut_jpeg, Options(detect=False), 0.05)
    assert parts.detect == 0
    assert parts.classify == pytest.approx(2, abs=1)


def test_of_a_network_only_its_run_counts(astronaut_jpeg: bytes) -> None:
    class Networked(FakeBatchDetector):
        def detect(self, pixels: NDArray[np.uint8], min_score: float) -> list[Face]:
            (answer,) = self.run([self.fitted(pixels)])
            return self.faces(answer, pixels.shape[:2], min_score)

        def fitted(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
            busy(0.004)
            return super().fitted(pixels)

        def run(self, images: Sequence[NDArray[np.uint8]]) -> list[Answer]:
            busy(0.001)
            return super().run(images)

    parts = kernels(Analyzer(Networked(), FakeClassifier()), astronaut_jpeg, Options(), 0.1)
    assert parts.detect == pytest.approx(1, abs=0.5)
    assert parts.line > 4


def test_waiting_is_no_cpu_time() -> None:
    times = cpu_milliseconds({"line": lambda: time.sleep(0.02), "work": lambda: busy(0.01)}, 0.1)
    assert times["line"] < 5
    assert times["work"] == pytest.approx(10, abs=2)


def test_every_part_is_timed_once_at_least() -> None:
    assert cpu_milliseconds({"line": lambda: busy(0.01)}, 0)["line"] >= 10


@pytest.mark.parametrize(
    ("first", "looks"),
    [
        pytest.param(Face(Box(170, 60, 100, 130), 0.9), 1, id="the first look settles it"),
        pytest.param(Face(Box(170, 60, 100, 130), 0.5), 2, id="a doubt takes the second"),
    ],
)
def test_the_networks_of_the_looks_that_an_image_takes_are_counted(
    astronaut_jpeg: bytes, first: Face, looks: int
) -> None:
    detector = CoarseFirst(Slow(first, side=160), Slow(Face(Box(170, 60, 100, 130), 0.9), side=640))
    parts = kernels(Analyzer(detector, FakeClassifier()), astronaut_jpeg, Options(), 0.1)
    assert parts.detect == pytest.approx(4 * looks, abs=1)
