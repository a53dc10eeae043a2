"""The model files that come with the package, and their cards."""

from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent
DETECTOR: Final = _FOLDER / "detector.onnx"
LANDMARKS: Final = _FOLDER / "landmarks.onnx"
# By name in the settings. Each file has a twin that computes in INT8 (see `int8_file`); the files here store
# their weights in half precision and suit any device.
MODELS: Final = {"bundled": _FOLDER / "emotion.onnx", "large": _FOLDER / "emotion-large.onnx"}


def model_file(name: str, *, int8: bool = False) -> Path:
    """The file of an emotion model: a bundled one (or its INT8 twin, for CPUs) by name, any other by its path."""
    bundled = MODELS.get(name)
    if bundled is None:
        return Path(name)
    return int8_file(bundled) if int8 else bundled


def int8_file(model: Path) -> Path:
    """The INT8 twin of a bundled file."""
    return model.with_name(f"{model.stem}-int8.onnx")
