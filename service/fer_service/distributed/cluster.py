"""A connection to Ray that reports nothing to its makers and listens only where it must."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fer_service.contract.errors import ClusterError

# Ray reads them when it is imported and when it starts its processes. What is set already stays.
ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_LOG_LEVEL": "ERROR",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # no warning about a later version
}
# Makes a Ray on this machine listen on its loopback. Ray has it for other systems, and reads it on all.
_LOOPBACK_ONLY: Final = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_LOOPBACK: Final = "127.0.0.1"


@contextmanager
def connected(address: str | None, cores: int) -> Iterator[None]:
    """Be connected to Ray while the block runs.

    Args:
        address: Address of a cluster, such as `auto` or ray://head:10001. None starts Ray on this machine, on its
            loopback and without a dashboard, and ends it after the block.
        cores: Number of cores that a Ray on this machine may use.

    Raises:
        ClusterError: Ray is not installed, or the cluster cannot be reached.
    """
    for name, value in (ENVIRONMENT if address else ENVIRONMENT | _LOOPBACK_ONLY).items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise ClusterError("Ray is not installed; install the extra: pip install 'fer-service[ray]'") from error
    options = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address:
            ray.init(address, **options)
        else:
            ray.init("local", num_cpus=cores, include_dashboard=False, _node_ip_address=_LOOPBACK, **options)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ClusterError(f"cannot use Ray at {address or 'this machine'}: {first}") from error
    try:
        yield
    finally:
        ray.shutdown()
