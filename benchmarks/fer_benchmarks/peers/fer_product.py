"""The package `fer` as its README calls it: `FER()`, or `FER(mtcnn=True)` with the argument `mtcnn`."""

import sys
from importlib.metadata import version

import cv2
from fer.fer import FER  # the README's `from fer import FER` is gone from 25.10.3

from fer_benchmarks.peers.in_process import take_turns

if __name__ == "__main__":
    detector = FER(mtcnn="mtcnn" in sys.argv)

    def analyze(image: str) -> int:
        """From the file to the emotions."""
        return len(detector.detect_emotions(cv2.imread(image)))

    take_turns(analyze, f"fer {version('fer')}, its own weights")
