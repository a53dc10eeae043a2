"""DeepFace as its README calls it, on onnxruntime, its default; the argument is the detector's name."""

import os
import sys
from importlib.metadata import version
from pathlib import Path

from deepface import DeepFace
from deepface.modules.exceptions import FaceNotDetected

from fer_benchmarks.peers.deepface_weights import EMOTION, ensure_emotion_weights
from fer_benchmarks.peers.in_process import take_turns

if __name__ == "__main__":
    weights = Path(os.environ["DEEPFACE_HOME"]) / ".deepface" / "weights"
    kind = ensure_emotion_weights(weights / EMOTION)

    def analyze(image: str) -> int:
        """From the file to the emotions; an image without a face it finds is an error there."""
        try:
            return len(DeepFace.analyze(img_path=image, actions=["emotion"], detector_backend=sys.argv[1]))
        except FaceNotDetected:
            return 0

    take_turns(analyze, f"deepface {version('deepface')}, {kind} weights")
