"""The model files that come with the package, and their cards."""

from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent
DETECTOR: Final = _FOLDER / "detector.onnx"
LANDMARKS: Final = _FOLDER / "landmarks.onnx"
# By name in the settings. Each file has a twin that computes in INT8 (see `int8_file`); the files here store
# their weights in half precision and suit any device.
MODELS: Final = {"bundled": _FOLDER / "emotion.onnx", "large": _FOLDER / "emotion-large.onnx"}


def int8_file(model: Path) -> Path:
    """The INT8 twin of a model file, for CPUs."""
    return model.with_name(f"{model.stem}-int8.onnx")
