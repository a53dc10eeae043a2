"""Paths that orchestrators, gateways and Prometheus ask, often by the address of a replica."""

import re
from typing import Final

_PATHS: Final = re.compile(
    r"/(livez|readyz|metrics|v2/health/(live|ready)|v2/models/[^/]+(/versions/[^/]+)?/ready)", re.ASCII
)


def is_probed(path: str) -> bool:
    """Return True for the paths of liveness, readiness and metrics."""
    return _PATHS.fullmatch(path) is not None
