"""Find every face in a picture and say which emotion each one shows.

As a library: `load().analyze(data)` with a picture's bytes.
"""

from typing import TYPE_CHECKING, Any

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
