"""This service as a server to measure."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fer_service.contract.errors import StartError
from fer_service.contract.settings import Settings

from fer_benchmarks.load import LoadGenerator
from fer_benchmarks.server_process import ServerProcess


@dataclass(frozen=True)
class MeasuredServer:
    """A running server and its load generator."""

    process: ServerProcess
    load: LoadGenerator


@contextmanager
def running_service(settings: Settings) -> Iterator[MeasuredServer]:
    """Run the service with these settings on a free local port.

    Raises:
        StartError: The service does not start, or the file of API keys has no key.
    """
    api_key = first_api_key(settings.api_keys_file) if settings.api_keys_file else ""
    with ServerProcess(service_environment(settings)) as process:
        yield MeasuredServer(process, LoadGenerator(process.url, api_key))


def service_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that make these settings, at a free local port, with a log that names the address."""
    local = {
        "host": "127.0.0.1",
        "port": 0,
        "root_path": "",
        "allowed_hosts": ("*",),
        "log_level": "info",
        "log_format": "console",
    }
    return settings.model_copy(update=local).as_environment()


def first_api_key(path: Path) -> str:
    """Return the first API key of a file with one key per line and `#` comments.

    Raises:
        StartError: The file is unreadable or has no key.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise StartError(f"FER_API_KEYS_FILE={path}: cannot read the file: {error}") from error
    for line in lines:
        if key := line.partition("#")[0].strip():
            return key
    raise StartError(f"FER_API_KEYS_FILE={path}: the file has no key; write one key per line")
