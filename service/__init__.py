"""Find every face in a picture and say which emotion each one shows.

As a library: `load().analyze(data)` with a picture's bytes.
"""

from service.analyzer import Analyzer, Options
from service.loading import load

__version__ = "0.1.0"
__all__ = ["Analyzer", "Options", "load"]
