import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ray.cluster import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two Ray nodes on this host."""
    # A short path: those of sockets have at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        running = Cluster(Path(folder))
        try:
            running.start()
            yield running
        finally:
            running.stop()
