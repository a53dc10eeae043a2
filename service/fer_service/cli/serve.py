"""`fer-service serve`."""

from typing import Annotated

import typer

from fer_service.contract.settings import load_settings
from fer_service.http.replicas import run
from fer_service.observability.logs import configure_logging


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [FER_HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [FER_PORT].")] = None,
) -> None:
    """Serve over HTTP until SIGTERM or SIGINT. Environment variables (FER_…) hold all other settings."""
    options = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    settings = load_settings(**options)
    configure_logging(settings.log_level, settings.log_format)
    run(settings)
