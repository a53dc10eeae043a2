"""DeepFace as in its README, with its default onnxruntime; the argument is the detector's name."""

import os
import sys
from importlib.metadata import version
from pathlib import Path

from deepface import DeepFace
from deepface.modules.exceptions import FaceNotDetected

from fer_benchmarks.peers.deepface_weights import EMOTION, ensure_emotion_weights
from fer_benchmarks.peers.worker import run_worker

if __name__ == "__main__":
    weights = Path(os.environ["DEEPFACE_HOME"]) / ".deepface" / "weights"
    kind = ensure_emotion_weights(weights / EMOTION)

    def analyze(image: str) -> int:
        """Return the number of faces in an image file; DeepFace raises an error if there is none."""
        try:
            return len(DeepFace.analyze(img_path=image, actions=["emotion"], detector_backend=sys.argv[1]))
        except FaceNotDetected:
            return 0

    run_worker(analyze, f"deepface {version('deepface')}, {kind} weights")
