"""Find every face in an image and the emotion that each one shows.

As a library: `load().analyze("photo.jpg")`, or with an image's bytes.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

# From 1.29 on onnxruntime sends usage events to its makers unless this is set before it is imported:
# docs/decisions/no-telemetry.md.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from fer_service.analysis.analyzer import Analyzer
    from fer_service.analysis.loading import load
    from fer_service.analysis.options import Options

__version__ = "0.1.0"
__all__ = ["Analyzer", "Options", "load"]
_MODULES = {
    "Analyzer": "fer_service.analysis.analyzer",
    "Options": "fer_service.analysis.options",
    "load": "fer_service.analysis.loading",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that a health probe imports neither OpenCV nor onnxruntime."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
