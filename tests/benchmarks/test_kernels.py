from collections.abc import Callable, Sequence

import numpy as np
import pytest
from fer_benchmarks.kernels import KernelCosts, cpu_milliseconds, measure_kernels
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.options import Options
from fer_service.contract.boxes import Box
from fer_service.contract.job import Job
from fer_service.detection.detector import Detector, Face, RawDetections
from fer_service.detection.orientations import Orientations
from fer_service.detection.scales import Scales
from numpy.typing import NDArray

from tests.benchmarks.fakes import FakeClock
from tests.fakes import FakeBatchDetector, FakeClassifier, FakeDetector

FACE = Face(Box(170, 60, 100, 130))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class SlowDetector(FakeDetector):
    """Takes 4 ms."""

    def __init__(self, clock: FakeClock, *faces: Face, side: int = 640) -> None:
        super().__init__(*faces, side=side)
        self.clock = clock

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        self.clock.work(0.004)
        return super().detect(pixels, min_score)


class SlowNetworkDetector(FakeBatchDetector):
    """Takes 4 ms to resize an image and 1 ms to run its network."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        (answer,) = self.run([self.preprocess(pixels)])
        return self.postprocess(answer, pixels.shape[:2], min_score)

    def preprocess(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        self.clock.work(0.004)
        return super().preprocess(pixels)

    def run(self, images: Sequence[NDArray[np.uint8]]) -> list[RawDetections]:
        self.clock.work(0.001)
        return super().run(images)


def slow_classifier(clock: FakeClock) -> FakeClassifier:
    """A classifier that takes 2 ms per face."""

    def rule(crop: object) -> list[float]:
        clock.work(0.002)
        return [0.2, 0.5, 0.3]

    return FakeClassifier(rule)


Measure = Callable[[Detector, Options], KernelCosts]


@pytest.fixture
def measure(clock: FakeClock, astronaut_jpeg: bytes) -> Measure:
    return lambda detector, options: measure_kernels(
        Analyzer(detector, slow_classifier(clock)), astronaut_jpeg, options, 0, clock
    )


def test_kernels_are_timed_alone_and_in_the_pipeline(measure: Measure, clock: FakeClock) -> None:
    costs = measure(SlowDetector(clock, FACE, FACE), Options())
    assert (costs.detect, costs.classify, costs.pipeline) == pytest.approx((4, 4, 8))
    assert costs.overhead == pytest.approx(0)


def test_an_image_without_faces_costs_no_classifier(measure: Measure, clock: FakeClock) -> None:
    costs = measure(SlowDetector(clock), Options())
    assert costs.classify == 0
    assert costs.pipeline == pytest.approx(4)


def test_without_detection_the_detector_costs_nothing(measure: Measure, clock: FakeClock) -> None:
    costs = measure(SlowDetector(clock), Options(detect=False))
    assert (costs.detect, costs.classify) == pytest.approx((0, 2))


def test_preparing_the_networks_input_is_overhead(measure: Measure, clock: FakeClock) -> None:
    costs = measure(SlowNetworkDetector(clock), Options())
    assert costs.detect == pytest.approx(1)
    assert costs.overhead == pytest.approx(4)


@pytest.mark.parametrize(
    ("score", "scales"), [pytest.param(0.9, 1, id="clear face"), pytest.param(0.5, 3, id="doubtful face")]
)
def test_every_scale_that_is_searched_counts(
    measure: Measure, clock: FakeClock, score: float, scales: int
) -> None:
    detector = Scales(SlowDetector(clock, Face(Box(0, 0, 300, 300), score)))
    assert measure(detector, Options()).detect == pytest.approx(4 * scales)


def test_the_look_at_other_orientations_counts(measure: Measure, clock: FakeClock) -> None:
    network = SlowDetector(clock, Face(Box(0, 0, 80, 80), 0.9))
    detector = Orientations(Scales(network), upright_score=0.95)
    assert measure(detector, Options()).detect == pytest.approx(4 * 2)


def test_the_median_ignores_a_slow_call() -> None:
    clock, durations = FakeClock(), iter([0.001, 0.5, 0.001])
    now = iter([0.0, 0.0, 0.0, 1.0])
    costs = cpu_milliseconds({"part": lambda: clock.work(next(durations))}, 1, clock, lambda: next(now))
    assert costs == {"part": pytest.approx(1)}
