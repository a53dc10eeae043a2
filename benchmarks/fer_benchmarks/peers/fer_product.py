"""The package `fer` as in its README: `FER()`, or `FER(mtcnn=True)` with the argument `mtcnn`."""

import sys
from importlib.metadata import version

import cv2
from fer.fer import FER  # the README's `from fer import FER` no longer works in 25.10.3

from fer_benchmarks.peers.worker import run_worker

if __name__ == "__main__":
    detector = FER(mtcnn="mtcnn" in sys.argv)

    def analyze(image: str) -> int:
        """Return the number of faces in an image file."""
        return len(detector.detect_emotions(cv2.imread(image)))

    run_worker(analyze, f"fer {version('fer')}, its own weights")
