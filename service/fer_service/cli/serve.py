"""`fer-service serve`."""

import faulthandler
import logging
from typing import Annotated

import typer

from fer_service.contract.errors import FerError
from fer_service.contract.settings import Settings, load_settings
from fer_service.observability.json_output import json_output
from fer_service.observability.logs import configure_logging

logger = logging.getLogger(__name__)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="FER_HOST")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="FER_PORT")] = None,
) -> None:
    """Serve over HTTP until SIGTERM or SIGINT. Environment variables (FER_…) hold all other settings."""
    options = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    settings = load_settings(**options)
    configure_logging(settings.log_level, settings.log_format)
    if settings.log_format == "console":
        _run(settings)
        return
    with json_output():
        try:
            _run(settings)
        except FerError as error:
            logger.error("%s", error)
            raise typer.Exit(1) from error
        except Exception as error:
            logger.exception("the service ended by a defect")
            raise typer.Exit(1) from error


def _run(settings: Settings) -> None:
    from fer_service.http.replicas import run  # loads libraries, which may write when they are loaded

    faulthandler.enable(file=2)  # a crash leaves a traceback of every thread
    run(settings)
