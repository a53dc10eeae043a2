"""The files through which replicas share their metrics (prometheus_client's multiprocess mode).

The replicas are numbered, and a replacement continues the counters of its predecessor. So the files stay the same
ones, and their room is taken at the start: a process that writes to a mapped file without room ends by SIGBUS.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import values

from fer_service.contract.errors import StartError

_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it when it is imported
# Bytes per file. All routes and statuses take 36 kB of counters and 66 kB of histograms.
_COUNTERS: Final = {"counter": 2**17, "histogram": 2**18}
_GAUGES: Final = {"gauge_livesum": 2**14, "gauge_max": 2**14}


@contextlib.contextmanager
def replica_metrics(replicas: int) -> Iterator[Path]:
    """Provide the folder of the files while the block runs; processes that it starts find it.

    Args:
        replicas: Number of replicas.

    Raises:
        StartError: the folder cannot be made, or has no room for the files.
    """
    before = os.environ.get(_VARIABLE)
    needed = replicas * sum((_COUNTERS | _GAUGES).values())
    with contextlib.ExitStack() as stack:
        try:
            # A folder of its own, so that it holds no files of processes that ended.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fer-metrics-", dir=before))
            for number in range(replicas):
                for kind, size in (_COUNTERS | _GAUGES).items():
                    (Path(folder) / f"{kind}_{number}.db").write_bytes(bytes(size))
        except OSError as error:
            where = before or tempfile.gettempdir()
            raise StartError(
                f"FER_WORKERS={replicas}: the replicas share their metrics in a temporary folder, which needs "
                f"{needed // 1024:,} KiB in {where}: {error.strerror}; mount a larger /tmp or set TMPDIR"
            ) from error
        stack.callback(_set_variable, before)
        _set_variable(folder)
        yield Path(folder)


def share_metrics(number: int) -> None:
    """Make this process write the metrics of a replica; call it before there are any.

    Args:
        number: Number of the replica, from 0.
    """
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]


def keep_metrics() -> None:
    """Make this process, which has no replicas, keep its metrics in memory; call it before there are any."""
    values.ValueClass = values.MutexValue


def forget_gauges(folder: Path, number: int) -> None:
    """Forget the gauges of a replica that ended; its counters stay."""
    for kind, size in _GAUGES.items():
        with (folder / f"{kind}_{number}.db").open("r+b") as file:  # in place, which needs no more room
            file.write(bytes(size))


def _set_variable(value: str | None) -> None:
    if value is None:
        os.environ.pop(_VARIABLE, None)
    else:
        os.environ[_VARIABLE] = value
