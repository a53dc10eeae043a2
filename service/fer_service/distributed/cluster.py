"""A connection to Ray without telemetry. A local Ray listens only on the loopback address."""

import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fer_service.contract.errors import ClusterError
from fer_service.contract.extras import install_command
from fer_service.contract.text import first_line

# Ray reads them when it is imported and when it starts its processes. What is set already stays.
ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9/",  # a head reports even that it reports nothing
    "RAY_DATA_LOG_LEVEL": "ERROR",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # no warning about a later version
}
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
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not address:
        # Makes Ray listen on the loopback. It has this for other systems, and reads it on all.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        # Otherwise Ray writes a key into the user's home.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
    except ImportError as error:
        raise ClusterError(f"Ray is not installed: {install_command('ray')}") from error
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address:
            ray.init(address, **options)
        else:
            with _home_with_a_cloud():
                ray.init("local", num_cpus=cores, include_dashboard=False, _node_ip_address=_LOOPBACK, **options)
    except Exception as error:  # Ray raises the base class itself, for example if a busy machine starts slowly
        raise ClusterError(f"cannot use Ray at {address or 'this machine'}: {first_line(error)}") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _home_with_a_cloud() -> Iterator[None]:
    """Set a home folder for the processes of Ray that tells them in which cloud they are: in none.

    Without this file Ray asks the network (`get_cloud_from_metadata_requests`), also if its statistics are off.
    """
    with tempfile.TemporaryDirectory(prefix="fer-service-") as home:
        Path(home, "ray_bootstrap_config.yaml").write_text("{}\n")
        # The analyzer looks for the weights of its detector in the user's cache.
        cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        changed = {"HOME": home, "XDG_CACHE_HOME": cache}
        before = {name: os.environ.pop(name, None) for name in changed}
        os.environ.update(changed)
        try:
            yield
        finally:
            for name, value in before.items():
                del os.environ[name]
                if value is not None:
                    os.environ[name] = value
