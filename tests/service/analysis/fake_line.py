"""The pipeline around fakes, and an image whose crops they tell apart."""

import numpy as np
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.options import Limits
from fer_service.detection.detector import Face

from tests.fakes import FakeClassifier, FakeDetector
from tests.service.conftest import Pixels


def analyzer(*faces: Face, side: int = 640, limits: Limits | None = None) -> Analyzer:
    return Analyzer(FakeDetector(*faces, side=side), FakeClassifier(), limits)


def three_stripes(width: int, height: int) -> Pixels:
    """Red, green and blue, side by side."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for channel in range(3):
        pixels[:, channel * width // 3 : (channel + 1) * width // 3, channel] = 250
    return pixels
