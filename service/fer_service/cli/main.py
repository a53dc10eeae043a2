"""The command `fer-service`."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fer_service import __version__
from fer_service.cli.batch import batch
from fer_service.cli.detector import pull
from fer_service.cli.doctor import doctor
from fer_service.cli.model import export_triton
from fer_service.cli.predict import predict
from fer_service.cli.serve import serve
from fer_service.contract.errors import FerError, ResultsError
from fer_service.contract.settings import load_settings
from fer_service.contract.text import printable
from fer_service.observability.logs import JsonFormatter, configure_logging
from fer_service.system.commands import Commands
from fer_service.system.descriptors import open_standard_streams
from fer_service.system.terminal import escape_unencodable

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
detector_app = typer.Typer(help="Manage the weights of the face detector.", no_args_is_help=True)
app.add_typer(detector_app, name="detector")
model_app = typer.Typer(help="Export the emotion model for Triton.", no_args_is_help=True)
app.add_typer(model_app, name="model")
app.command()(serve)
app.command()(predict)
app.command()(doctor)
app.command()(batch)
detector_app.command()(pull)
model_app.command()(export_triton)


@app.command()
def benchmark(
    photos: Annotated[
        list[Path],
        typer.Argument(help="Images to send.", show_default=False, exists=True, dir_okay=False),
    ],
    detect: Annotated[bool, typer.Option(help="Detect faces, or treat each whole image as one face.")] = True,
    seconds: Annotated[
        float, typer.Option(min=0.05, help="Seconds per measurement. There are 13 measurements per image.")
    ] = 3,
    out: Annotated[Path | None, typer.Option(help="Write the figures to this JSON file.")] = None,
) -> None:
    """Measure the pipeline stages, the pipeline without HTTP, and a real server under load."""
    from dataclasses import asdict

    from fer_benchmarks.benchmark import benchmark as measure
    from fer_benchmarks.tables import print_report

    from fer_service.analysis.options import Options

    settings, reports = load_settings(), []
    configure_logging("error", settings.log_format)
    try:
        images = [(photo.name, photo.read_bytes()) for photo in photos]
        if out:
            out.open("a").close()  # a wrong place is told before minutes of measuring
        for name, data in images:
            reports.append(measure(name, data, settings, Options(detect=detect), seconds))
            print_report(reports[-1], Console(width=120))
        if out:
            out.write_text(json.dumps([asdict(report) for report in reports], indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"{error.filename or out}: {error.strerror or error}") from error


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def _print_version(value: bool) -> None:
    if value:
        version()
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Find faces in images and predict the apparent expression of each face.

    Examples:
    fer-service serve

    fer-service predict photos/ --out results.csv

    fer-service predict clip.mp4 --out timeline.csv
    """


def main() -> None:
    """Run the command; print an expected error as one line, without a traceback."""
    open_standard_streams()
    escape_unencodable()
    try:
        app()
    except (FerError, MemoryError) as error:
        print(_line(str(error) or "not enough memory"), file=sys.stderr)
        sys.exit(1)
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        hint = "not enough memory, or too few processes are allowed (ulimit -v, -u)"
        print(_line(f"cannot start a thread: {hint}"), file=sys.stderr)
        sys.exit(1)


def _line(error: str) -> str:
    """Return the line of an error; the settings may be what is wrong, so they are not asked for the format."""
    if os.environ.get("FER_LOG_FORMAT") == "json":
        return JsonFormatter().format(
            logging.makeLogRecord({"name": __name__, "levelname": "ERROR", "msg": error})
        )
    return f"fer-service: {printable(error)}"


if __name__ == "__main__":
    main()
