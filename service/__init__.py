"""Find every face in a picture and say which emotion each one shows.

As a library: `load().analyze(data)` with a picture's bytes.
"""

import os
from typing import TYPE_CHECKING, Any

# From 1.29 on onnxruntime sends usage events to its makers unless this is set before it is imported:
# docs/decisions/no-telemetry.md.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from service.analyzer import Analyzer, Options
    from service.loading import load

__version__ = "0.1.0"
__all__ = ["Analyzer", "Options", "load"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for: a container's health probe needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from service import analyzer, loading

    return getattr(loading if name == "load" else analyzer, name)
